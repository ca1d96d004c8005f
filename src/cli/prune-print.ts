/** What `dualvla prune` prints for people. */
import type { PruneReport, SceneQuality, TrainSceneEventsResult } from '../prune/index.js';
import type { PruneFlags } from './prune-options.js';
import { formatDuration, formatRate, formatTable } from './terminal.js';

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printReport(report: PruneReport, flags: PruneFlags): void {
  const { combine, scene, motion, tolerance } = flags;
  const { episodes, frames, kept, sceneEvents, motionKeyframes, gripperChanges, why, time, tasks } = report;
  print(`${episodes} episodes, ${frames} frames; reasoning kept on ${kept} (${formatRate(kept / frames)})`);
  print(`scene layer (${scene}): ${sceneEvents} events${tolerance > 0 ? ` +-${tolerance} frames` : ''}`);
  print(`motion layer (${motion}): ${motionKeyframes} keyframes, ${gripperChanges} gripper changes`);
  print(
    `frames by layer: both ${why.both}, scene only ${why.sceneOnly}, motion only ${why.motionOnly}, neither ${why.neither}; ` +
      `first frames of episodes, kept by policy: ${why.firstFrames}; combined by '${combine}'`,
  );
  print(
    `kept over an episode's time, by tenths: ${time.map((bin) => (bin.frames === 0 ? '-' : formatRate(bin.kept / bin.frames))).join(', ')}`,
  );
  const shown = tasks.slice(0, 8);
  print(
    formatTable(
      [
        ['task', 'frames', 'kept'],
        ...shown.map((one) => [one.task, String(one.frames), formatRate(one.kept / one.frames)]),
      ],
      [1, 2],
    ),
  );
  if (tasks.length > shown.length) print(`and ${tasks.length - shown.length} more instructions`);
  printReasoning(report);
}

function printReasoning({ reasoning, fields }: PruneReport): void {
  if (!reasoning) {
    print('the data set has no reasoning text');
    return;
  }
  const { before, after } = reasoning;
  const row = (name: string, value: (statistics: typeof before) => string): string[] => [
    name,
    value(before),
    value(after),
  ];
  print(
    formatTable(
      [
        ['reasoning', 'before', 'after'],
        row('frames', (s) => String(s.frames)),
        row('words', (s) => String(s.words)),
        row('words a frame', (s) => s.wordsPerFrame.toFixed(1)),
        row('same text as the one before', (s) => formatRate(s.repeated)),
        row('same words at the same place', (s) => formatRate(s.sameWords)),
        row('entropy, bits a word', (s) => s.unigramEntropy.toFixed(2)),
        row('distinct words / words', (s) => s.distinct1.toFixed(4)),
        row('distinct word pairs / pairs', (s) => s.distinct2.toFixed(4)),
      ],
      [1, 2],
    ),
  );
  if (fields.length < 2) return;
  print(
    formatTable(
      [
        ['field', 'frames', 'kept', 'repeats before', 'after'],
        ...fields.map(({ field, frames, kept, before: b, after: a }) => [
          field,
          String(frames),
          formatRate(frames === 0 ? 0 : kept / frames),
          formatRate(b.repeated),
          formatRate(a.repeated),
        ]),
      ],
      [1, 2, 3, 4],
    ),
  );
}

export function printTraining(result: TrainSceneEventsResult): void {
  const { trainEpisodes, numFrames, numBoundaries, numHeldOut, heldOut, seconds } = result;
  print(
    `${trainEpisodes.length} episodes, ${numFrames} frames, ${numBoundaries} boundaries; trained in ${formatDuration(seconds.training)}`,
  );
  if (!heldOut) {
    print('no labelled episodes left to measure on');
    return;
  }
  const row = (name: string, { frames, relative, relativeMean }: SceneQuality): string[] => [
    name,
    ...frames.map(({ f1 }) => f1.toFixed(3)),
    (relative[0] ?? 0).toFixed(3),
    relativeMean.toFixed(3),
  ];
  print(
    formatTable(
      [
        [`F1 on ${numHeldOut} other episodes`, 'exact', '+-1 frame', '+-2 frames', 'rel. 0.05', 'rel. mean'],
        row('DDM-Net', heldOut.ddmNet),
        row('motion-energy valleys', heldOut.motionEnergy),
        row('every second frame', heldOut.everySecondFrame),
      ],
      [1, 2, 3, 4, 5],
    ),
  );
}
