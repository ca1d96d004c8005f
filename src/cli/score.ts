/** `dualvla score`: VLA Score of rollouts, the judges' knowledge base, and how far judges can be trusted. */
import type { Command } from 'commander';
import { registerScoreCalibrate } from './score-calibrate.js';
import { registerScoreKb } from './score-kb.js';
import { registerScoreRun } from './score-run.js';

const EXAMPLES = `Examples:
  dualvla eval --policy outputs/demo/seed-0/dualvla/train --traces traces.jsonl.gz --episodes 20
  dualvla score run traces.jsonl.gz                                     R, A, I, RA and VLA Score by the rule judge
  dualvla score run traces.jsonl.gz --judge qwen-vl@http://localhost:8000/v1 --json
  dualvla score calibrate --judge qwen-vl@http://localhost:8000/v1      does that judge notice planted defects?
  dualvla score kb review --base my-base                                marked examples, and what experts corrected

'run' may be left out. docs/vla-score.md says what the marks are made of.
`;

export function registerScore(program: Command): void {
  const score = program
    .command('score')
    .enablePositionalOptions()
    .helpCommand(false)
    .description('VLA Score of rollouts (Eq. 8)')
    .addHelpText('before', EXAMPLES);
  registerScoreRun(score);
  registerScoreCalibrate(score);
  registerScoreKb(score);
}
