/** A process that takes a run's lock and keeps it, for tests of many that want it: argv is the run directory. */
import { RunLock } from './run-lock.js';

const lock = new RunLock();
try {
  lock.acquire(process.argv[2] ?? '');
  process.stdout.write('mine\n');
} catch (error) {
  process.stdout.write(`${(error as Error).name}\n`);
}
setInterval(() => undefined, 1000);
