// Prints a program's memory for `mlxtop follow`: ten lines a second, and one for each phase and mark.
// For programs that link mlx-c, as the crates mlx-sys and mlx-rs do. Run on Linux with rustc 1.95, mlx-c 0.6.0 and
// MLX 0.31.2, CPU backend. Names have no control characters.
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

extern "C" {
    fn mlx_get_active_memory(result: *mut usize) -> i32;
    fn mlx_get_cache_memory(result: *mut usize) -> i32;
    fn mlx_get_peak_memory(result: *mut usize) -> i32;
}

static PHASE: Mutex<String> = Mutex::new(String::new());

/// Call it once when the program starts.
pub fn start(every: Duration) {
    std::thread::spawn(move || loop {
        line("");
        std::thread::sleep(every);
    });
}

pub fn phase(name: &str) {
    *PHASE.lock().unwrap() = name.to_string();
    line("");
}

pub fn mark(name: &str) {
    line(&format!(",\"mark\":{name:?}"));
}

fn line(more: &str) {
    let read = |get: unsafe extern "C" fn(*mut usize) -> i32| {
        let mut size = 0;
        // mlx-c answers 0 when it has written the result.
        if unsafe { get(&mut size) } == 0 { size.to_string() } else { "null".into() }
    };
    let (active, cache, peak) = (read(mlx_get_active_memory), read(mlx_get_cache_memory), read(mlx_get_peak_memory));
    let t = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let phase = PHASE.lock().unwrap().clone();
    let phase = if phase.is_empty() { String::new() } else { format!(",\"phase\":{phase:?}") };
    // `println!` would end the program when nobody reads any more.
    let _ = writeln!(std::io::stdout(), "mlxtop {{\"active\":{active},\"cache\":{cache},\"peak\":{peak},\"t\":{t}{phase}{more}}}");
}
