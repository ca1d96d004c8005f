/**
 * What the rule judge's marks are made of, on scripts (medians) and words (shares): the figures behind its anchors in docs/vla-score.md, on validation scenes. Run:
 * npx tsx bench/vla-score.ts [--scenes 8]
 *
 * Its marks under planted defects: dualvla score calibrate.
 */
import { parseArgs } from 'node:util';
import { actionMeasures, plantedCases, reasoningValidity } from '../dist/score/index.js';

const { values } = parseArgs({ options: { scenes: { type: 'string', default: '8' } } });
const cases = await plantedCases({ scenes: Number(values.scenes) });
const median = (list: number[]): string =>
  ((list.sort((a, b) => a - b)[Math.floor(list.length / 2)] as number) ?? 0).toFixed(2);
for (const kind of new Set(cases.map((one) => one.kind))) {
  const traces = cases.filter((one) => one.kind === kind).map(({ trace }) => trace);
  const measures = traces.map(actionMeasures);
  const keys = ['spectralArcLength', 'logDimensionlessJerk', 'pathEfficiency', 'collisions'] as const;
  const words = traces[0]?.reasons ? reasoningValidity(traces) : undefined;
  console.log(kind, ...keys.map((key) => `${key} ${median(measures.map((one) => one[key]))}`), words ?? '');
}
