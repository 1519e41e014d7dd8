// Prints an app's memory for `mlxtop follow`: four lines a second, and one for each phase and mark.
// Compiled and run on Linux only: Swift 6.0 over mlx-swift's Memory.swift, with stand-ins for Apple's functions.
@preconcurrency import Darwin
import Foundation
import MLX
import os

enum MemoryReport {
    private static let queue = DispatchQueue(label: "mlxtop")
    nonisolated(unsafe) private static let timer = DispatchSource.makeTimerSource(queue: queue)
    nonisolated(unsafe) private static var current = "start"

    /// Call it once when the app starts.
    static func start(every seconds: Double = 0.25) {
        timer.setEventHandler { line() }
        timer.schedule(deadline: .now(), repeating: seconds)
        timer.activate()
    }

    static func phase(_ name: String) { queue.sync { current = name; line() } }
    static func mark(_ name: String) { queue.sync { line(mark: name) } }

    private static func line(mark: String? = nil) {
        let memory = Memory.snapshot()
        var told: [String: Any] = [
            "active": memory.activeMemory, "cache": memory.cacheMemory, "peak": memory.peakMemory,
            "phase": current, "pid": Int(getpid()), "t": ProcessInfo.processInfo.systemUptime,
        ]
        told["footprint"] = footprint()
        told["mark"] = mark
        #if os(iOS)
            told["available"] = os_proc_available_memory()
        #endif
        guard let json = try? JSONSerialization.data(withJSONObject: told) else { return }
        print("mlxtop", String(decoding: json, as: UTF8.self))
        fflush(nil)
    }

    private static func footprint() -> UInt64? {
        var info = task_vm_info_data_t()
        var count = mach_msg_type_number_t(MemoryLayout.size(ofValue: info) / MemoryLayout<natural_t>.size)
        let found = withUnsafeMutableBytes(of: &info) {
            let fields = $0.bindMemory(to: integer_t.self).baseAddress
            return task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), fields, &count)
        }
        return found == KERN_SUCCESS ? info.phys_footprint : nil
    }
}
