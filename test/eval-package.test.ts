/** `dualvla/eval` as users import it: by the package's name, from another process, with nothing native loaded. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a module in the package's folder, where its own name leads to what it exports. */
const run = (code: string): unknown =>
  JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' }));

test('what the documentation names is exported, and works without the engine', () => {
  const result = run(`
    import * as evaluation from 'dualvla/eval';
    import { readFileSync } from 'node:fs';
    const { ActionProcessor, PROCESSING, SIMPLER_RUNS, summariseSimpler, findBenchmark, wilsonInterval, comparePairs } = evaluation;
    const processor = new ActionProcessor('widowx_bridge', PROCESSING.octo.widowx_bridge);
    const maps = process.platform === 'linux' ? readFileSync('/proc/self/maps', 'utf8') : '';
    console.log(JSON.stringify({
      names: Object.keys(evaluation),
      runs: SIMPLER_RUNS.length,
      gripper: processor.step([[0, 0, 0, 0, 0, 0, 1]]).action.gripper,
      empty: summariseSimpler({ episodes: [], replaced: 0, truncated: false }).average,
      benchmark: findBenchmark('MMBench_DEV_EN_V11')?.name,
      wilson: wilsonInterval({ successes: 18, trials: 24 }).low.toFixed(2),
      p: comparePairs({ both: 9, onlyFirst: 5, onlySecond: 1, neither: 9 }).p.toFixed(5),
      native: /dualvla\\.node|libtorch/.test(maps),
    }));
  `) as { names: string[] };
  expect(result).toMatchObject({
    runs: 340,
    gripper: 1,
    empty: null,
    benchmark: 'MMBench',
    wilson: '0.55',
    p: '0.21875',
    native: false,
  });
  const names = ['QuestionSet', 'readPredictions', 'scoreBenchmark', 'averageOfEight', 'OWN_WORDING', 'proprioception'];
  expect(result.names).toEqual(expect.arrayContaining(names));
});
