/**
 * Can this judge evaluate a policy? Its marks against those of a reference (the rule judge, people), and whether it notices defects that were planted.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Agreement, agreement } from './agreement.js';
import type { Judgement } from './judge.js';
import { PLANTED_DEFECTS, type PlantedCase, type PlantedDefect } from './planted-defects.js';
import { type Rollout, RolloutError, reversedPictures } from './rollout.js';
import { type ScoredRollout, type ScoreSummary, summarize } from './score-rollouts.js';
import { Theatre, traceId, traceRollout } from './trace-rollouts.js';
import { bootstrapInterval } from './vla-score.js';

export const DIMENSIONS = ['R', 'A', 'I', 'RA'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** Marks of one trajectory by its id; those of a policy that does not reason have no R and RA. */
export type MarksById = ReadonlyMap<string, Partial<Judgement>>;

/** Agreement by dimension over the trajectories that both have marked; dimensions that none has are left out. */
export function agreementByDimension(judge: MarksById, reference: MarksById): Partial<Record<Dimension, Agreement>> {
  return Object.fromEntries(
    DIMENSIONS.flatMap((name) => {
      const pairs = [...judge].flatMap(([id, marks]) => {
        const other = reference.get(id)?.[name];
        return marks[name] === undefined || other === undefined ? [] : [[marks[name], other] as const];
      });
      if (pairs.length === 0) return [];
      return [
        [
          name,
          agreement(
            pairs.map(([mine]) => mine),
            pairs.map(([, other]) => other),
          ),
        ],
      ];
    }),
  );
}

/** Marks without the RA that silence is given. */
export const comparableMarks = ({ marks: { R, A, I, RA } }: ScoredRollout): Partial<Judgement> =>
  R === undefined ? { A, I } : { R, A, I, RA };

const mark = z.number().min(0).max(10);
/** A person's marks of a trajectory, a line of a JSONL file; several people may mark the same one. */
export const HUMAN_LABEL = z.strictObject({
  id: z.string().min(1),
  R: mark.optional(),
  A: mark.optional(),
  I: mark.optional(),
  RA: mark.optional(),
  by: z.string().optional(),
  note: z.string().optional(),
});

/** Means over the people who marked a trajectory. @throws RolloutError naming the line that is wrong */
export function readHumanLabels(path: string): Map<string, Partial<Judgement>> {
  const labels = new Map<string, z.infer<typeof HUMAN_LABEL>[]>();
  for (const [i, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      throw new RolloutError(`${path}, line ${i + 1} is not JSON`);
    }
    const parsed = HUMAN_LABEL.safeParse(json);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new RolloutError(`${path}, line ${i + 1}: ${issue?.path.join('.') || 'label'}: ${issue?.message}`);
    }
    labels.set(parsed.data.id, [...(labels.get(parsed.data.id) ?? []), parsed.data]);
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  return new Map(
    [...labels].map(([id, list]) => {
      const entries = DIMENSIONS.flatMap((name) => {
        const values = list.flatMap((label) => label[name] ?? []);
        return values.length === 0 ? [] : [[name, mean(values)] as const];
      });
      return [id, Object.fromEntries(entries)];
    }),
  );
}

/** Planted cases as rollouts; the id begins with the kind. */
export function plantedRollouts(cases: readonly PlantedCase[]): { kind: string; scene: string; rollout: Rollout }[] {
  const theatre = new Theatre();
  return cases.map(({ kind, trace, reversed }) => {
    const scene = traceId(trace);
    const own = traceRollout(trace, theatre);
    if (!reversed) return { kind, scene, rollout: { ...own, id: `${kind}: ${scene}` } };
    // The pictures are those of the episode as it was run: the states of the reversed trace are no replay.
    const forward = traceRollout(forwardOf(cases, scene), theatre);
    const pictures = reversedPictures(forward);
    return { kind, scene, rollout: { ...own, id: `${kind}: ${scene}`, pictures } };
  });
}

function forwardOf(cases: readonly PlantedCase[], scene: string) {
  const found = cases.find(({ kind, trace }) => kind === 'expert' && traceId(trace) === scene);
  if (!found) throw new RangeError(`no expert in ${scene}`);
  return found.trace;
}

/** How a judge marks a defect beside its sound counterparts. */
export interface DefectResult extends Pick<PlantedDefect, 'kind' | 'sound'> {
  readonly mark: Dimension;
  /** Scenes. */
  readonly n: number;
  readonly soundMark: number;
  readonly defectMark: number;
  /** Mean of what the defect costs, 0 to 10, with its 95 % bootstrap interval over scenes. */
  readonly cost: number;
  readonly interval: readonly [number, number];
  /** Share of scenes in which the sound one has the better mark, ties counting half: .5 is a guess. */
  readonly noticed: number;
}

/** One row a defect and mark that it should cost. @param scored by kind and scene */
export function defectResults(scored: readonly { kind: string; scene: string; marks: Judgement }[]): DefectResult[] {
  const marksOf = (kind: string): Map<string, Judgement> =>
    new Map(scored.filter((one) => one.kind === kind).map(({ scene, marks }) => [scene, marks]));
  return PLANTED_DEFECTS.flatMap(({ kind, sound, costs }) => {
    const [bad, good] = [marksOf(kind), marksOf(sound)];
    return costs.flatMap((name): DefectResult[] => {
      const pairs = [...good].flatMap(([scene, marks]) => {
        const other = bad.get(scene);
        return other === undefined ? [] : [[marks[name] ?? 0, other[name] ?? 0] as const];
      });
      if (pairs.length === 0) return [];
      const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
      const costsOf = pairs.map(([a, b]) => a - b);
      return [
        {
          kind,
          sound,
          mark: name,
          n: pairs.length,
          soundMark: mean(pairs.map(([a]) => a)),
          defectMark: mean(pairs.map(([, b]) => b)),
          cost: mean(costsOf),
          interval: bootstrapInterval(costsOf),
          noticed: mean(costsOf.map((cost) => (cost > 0 ? 1 : cost === 0 ? 0.5 : 0))),
        },
      ];
    });
  });
}

/** Means by kind, in order of appearance. */
export function summarizeKinds(
  scored: readonly (ScoredRollout & { kind: string })[],
): (ScoreSummary & { kind: string })[] {
  const kinds = [...new Set(scored.map(({ kind }) => kind))];
  return kinds.map((kind) => ({ kind, ...summarize(scored.filter((one) => one.kind === kind)) }));
}
