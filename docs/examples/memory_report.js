// Prints a program's memory for `mlxtop follow`: ten lines a second, and one for each phase and mark.
// For @frost-beta/mlx. Run with its version 0.0.7 and Node 20 on Linux, where it has no counters: they are Metal's.
const fs = require('node:fs');
const { core: mx } = require('@frost-beta/mlx');

let current;

function line(more) {
  const told = { phase: current, pid: process.pid, t: performance.now() / 1000, ...more };
  if (mx.metal.isAvailable()) {
    told.active = mx.metal.getActiveMemory();
    told.cache = mx.metal.getCacheMemory();
    told.peak = mx.metal.getPeakMemory();
  }
  try {
    fs.writeSync(1, `mlxtop ${JSON.stringify(told)}\n`);
  } catch {
    // `console.log` would end the program when nobody reads any more.
  }
}

/** Call it once when the program starts. While `mx.eval` runs there is no line: Node has one thread. */
exports.start = (every = 100) => setInterval(() => line(), every).unref();

exports.phase = (name) => { current = name; line(); };

exports.mark = (name) => line({ mark: name });
