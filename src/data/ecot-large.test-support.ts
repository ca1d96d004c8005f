/** Child process of the annotation tests: makes a file of 100 MB, prunes it, or prunes so slowly that it can be killed. Prints peak memory. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { writePrunedEcot } from './ecot.js';

const [mode = '', file = ''] = process.argv.slice(2);
const say = (facts: object): void => {
  process.stdout.write(JSON.stringify({ peakMb: process.resourceUsage().maxRSS / 1024, ...facts }));
};

if (mode === 'make') {
  // Episodes of about 26 kB, as in the released file.
  const reasoning = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [i, { task: 'put', subtask: 'grasp', move_reason: 'because '.repeat(70) }]),
  );
  const episode = JSON.stringify({ metadata: {}, features: { state_3d: [] }, reasoning });
  const fd = openSync(file, 'w');
  let episodes = 0;
  for (let bytes = 0; bytes < 100e6; episodes++)
    bytes += writeSync(fd, `${episodes === 0 ? '{' : ','}"/data/${episodes}.npy":{"${episodes % 7}":${episode}}`);
  writeSync(fd, '}');
  closeSync(fd);
  say({ steps: episodes * 40, bytes: statSync(file).size });
} else if (mode === 'prune') {
  const { steps, kept } = writePrunedEcot(file, `${file}.pruned`, ({ step }) => step % 2 === 0);
  say({ steps, kept });
} else if (mode === 'slow') {
  let started = false;
  writePrunedEcot(file, `${file}.pruned`, () => {
    if (!started) process.stdout.write('started\n');
    started = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    return true;
  });
} else say({});
