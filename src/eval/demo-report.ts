/**
 * The demo's report from what its stages left behind: success table, losses, films of a few episodes. Runs the films' episodes
 * once more, because an evaluation keeps no pictures.
 *
 * Knows nothing about stages, resuming or terminals.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMetrics } from '../train/metrics-log.js';
import type { Curve } from './charts.js';
import type { EpisodeRecord } from './episode-log.js';
import { writeFilm } from './film.js';
import type { ReportVideo } from './report.js';
import { type RolloutPolicy, rollout } from './rollout.js';
import { cellKey } from './success-table.js';

/** Side of the films' pictures, pixels. */
const FILM_SIZE = 256;
/** Films of one cell: the first successes and the first failure. */
const SUCCESSES_A_CELL = 2;
const FILMS = 12;

/** Training and held-out loss of a run. */
export function lossCurves(runDir: string): Curve[] {
  const records = readMetrics(runDir).flatMap((record) => {
    const { step, loss, lr } = record;
    // Only optimiser steps have a learning rate; the other lines are validation passes.
    return typeof loss === 'number' ? [{ step, value: loss, trained: lr !== undefined }] : [];
  });
  const curve = (name: string, trained: boolean): Curve => ({
    name,
    points: records.filter((r) => r.trained === trained),
  });
  return [curve('training loss', true), curve('validation loss', false)].filter(({ points }) => points.length > 0);
}

/** A few episodes worth watching, successes and failures of every cell, at most `FILMS` with all cells served alike. */
export function chooseFilms(records: readonly EpisodeRecord[]): EpisodeRecord[] {
  const cells = new Map<string, EpisodeRecord[]>();
  for (const record of [...records].sort((a, b) => a.index - b.index)) {
    const key = cellKey(record.task, record.variant);
    cells.set(key, [...(cells.get(key) ?? []), record]);
  }
  const choices = [...cells.values()].map((own) => {
    const [first, ...more] = own.filter(({ success }) => success).slice(0, SUCCESSES_A_CELL);
    const failure = own.find(({ success }) => !success);
    return [first, failure, ...more].filter((record) => record !== undefined);
  });
  const rounds = Math.max(0, ...choices.map(({ length }) => length));
  const inTurn = Array.from({ length: rounds }, (_, round) => choices.flatMap((choice) => choice[round] ?? [])).flat();
  const chosen = new Set(inTurn.slice(0, FILMS));
  return choices.flat().filter((record) => chosen.has(record));
}

export interface FilmOptions {
  records: readonly EpisodeRecord[];
  policy: RolloutPolicy;
  /** Folder for the mp4 files. */
  folder: string;
  signal?: AbortSignal;
}

/** Films episodes; each says what became of it this time. Yields videos as they are done. */
export async function* filmEpisodes({ records, policy, folder, signal }: FilmOptions): AsyncGenerator<ReportVideo> {
  mkdirSync(folder, { recursive: true });
  for (const own of groupByCell(records)) {
    const [{ task, variant, split }] = own as [EpisodeRecord];
    const episodes = own.map(({ index }) => index);
    const film = { camera: 'third', size: FILM_SIZE, episodes: new Set(episodes) } as const;
    const options = { task, variant, split, episodes, policy, film, ...(signal === undefined ? {} : { signal }) };
    for await (const { record, frames, controlHz } of rollout(options)) {
      const path = join(folder, `${task.replace('/', '-')}-${variant.replace(':', '-')}-${record.index}.mp4`);
      await writeFilm(path, [{ frames, success: record.success, controlHz }], FILM_SIZE);
      const { instruction, index, success, steps } = record;
      yield { task, variant, instruction, seed: index, success, steps, mime: 'video/mp4', bytes: readFileSync(path) };
    }
  }
}

function groupByCell(records: readonly EpisodeRecord[]): EpisodeRecord[][] {
  const groups = new Map<string, EpisodeRecord[]>();
  for (const record of records) {
    const key = cellKey(record.task, record.variant);
    groups.set(key, [...(groups.get(key) ?? []), record]);
  }
  return [...groups.values()];
}
