// Prints an app's memory for `mlxtop follow`: four lines a second, and one for each phase and mark.
// Written after the sources of mlx-swift; not compiled and not run by mlxtop's developers.
import Foundation
import MLX
import os

enum MemoryReport {
    private static let queue = DispatchQueue(label: "mlxtop")
    nonisolated(unsafe) private static var timer: DispatchSourceTimer?
    nonisolated(unsafe) private static var current = "start"

    /// Call it once when the app starts.
    static func start(every seconds: Double = 0.25) {
        queue.sync {
            timer = DispatchSource.makeTimerSource(queue: queue)
            timer?.schedule(deadline: .now(), repeating: seconds)
            timer?.setEventHandler { line() }
            timer?.resume()
        }
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
        let json = try? JSONSerialization.data(withJSONObject: told)
        print("mlxtop", String(decoding: json ?? Data(), as: UTF8.self))
        fflush(stdout)
    }

    private static func footprint() -> UInt64? {
        var info = task_vm_info_data_t()
        var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
        let found = withUnsafeMutablePointer(to: &info) {
            $0.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
            }
        }
        return found == KERN_SUCCESS ? info.phys_footprint : nil
    }
}
