/**
 * The paper's overview figure for one demonstration: its frames, the scene layer's score, the acceleration of Eq. 4, and the text of
 * frames that keep their reasoning and of those that do not (arXiv 2511.22134, Section 3.2.1).
 *
 * Knows nothing about the page around it.
 */
import { join } from 'node:path';
import { type Episode, encodePng, type ImageSequence, LeRobotDataset, REASONING_TEXT_KEY } from '../data/index.js';
import {
  type EpisodeKeepLabels,
  type KeepLabels,
  motionLabelsOfStates,
  readKeepLabels,
  readSceneFrames,
  SceneEventModel,
  textToBits,
} from '../prune/index.js';
import { dataUri, html, type Markup } from './html.js';

/** One demonstration with what the layers say of each of its T frames. */
export interface PruneTimeline {
  instruction: string;
  fps: number;
  /** PNG of each frame. */
  pictures: Uint8Array[];
  texts: readonly string[];
  keep: ArrayLike<number>;
  /** Probability that an event begins, and where one does; null without a learned scene layer. */
  scene: { score: ArrayLike<number>; events: ArrayLike<number> } | null;
  /** |T''| over its mean, where it counts, and where the gripper changes. */
  motion: { ratio: ArrayLike<number>; labels: ArrayLike<number>; gripper: ArrayLike<number> };
}

export interface TimelineSource {
  /** Root of the demonstrations that were pruned. */
  data: string;
  /** File of `dualvla prune`. */
  labels: string;
  /** The event detector's folder. */
  scene: string;
}

/** Reads a typical episode: of middle length among those that keep a few frames. */
export async function readPruneTimeline({ data, labels, scene }: TimelineSource): Promise<PruneTimeline> {
  const chosen = typicalEpisode(readKeepLabels(labels));
  const dataset = await LeRobotDataset.open(chosen.folder === '' ? data : join(data, chosen.folder));
  const [camera = ''] = Object.keys(dataset.cameras);
  const episode = await dataset.episode(chosen.episode, { images: [camera] });
  const model = SceneEventModel.load(scene);
  const { cameras, image_size: size } = model.config;
  const range = { from: chosen.episode, to: chosen.episode + 1 };
  const [frames] = await readSceneFrames(dataset, range, { cameras, size });
  const {
    labels: motion,
    acceleration,
    threshold,
    gripperChange,
  } = motionLabelsOfStates(episode.state, episode.stateDim);
  return {
    instruction: episode.task,
    fps: episode.fps,
    pictures: pngs(episode.images[camera] as ImageSequence, episode.length),
    texts: textsOf(episode),
    keep: textToBits(chosen.keep),
    scene:
      frames === undefined || chosen.scene === undefined
        ? null
        : { score: model.score(frames), events: textToBits(chosen.scene) },
    motion: {
      ratio: Array.from(acceleration, (value) => (threshold > 0 ? value / threshold : 0)),
      labels: motion,
      gripper: gripperChange,
    },
  };
}

const textsOf = ({ columns, length }: Episode): readonly string[] =>
  (columns[REASONING_TEXT_KEY]?.values as readonly string[] | undefined) ?? Array.from({ length }, () => '');

function pngs({ data, width, height }: ImageSequence, length: number): Uint8Array[] {
  const size = width * height * 3;
  return Array.from({ length }, (_, t) => encodePng(data.subarray(t * size, (t + 1) * size), width, height));
}

function typicalEpisode({ episodes }: KeepLabels): EpisodeKeepLabels {
  const ones = (text: string): number => text.split('1').length - 1;
  const some = episodes.filter(({ keep }) => ones(keep) >= 3 && ones(keep) <= 6);
  const sorted = [...(some.length > 0 ? some : episodes)].sort((a, b) => a.keep.length - b.keep.length);
  return sorted[Math.floor(sorted.length / 2)] as EpisodeKeepLabels;
}

/** Pictures at most, evenly over the episode. */
const PICTURES = 12;
/** Frames whose text is shown: all kept ones up to this number, and some of the others. */
const KEPT_TEXTS = 6;
const DROPPED_TEXTS = 3;

export function pruneTimelineFigure(timeline: PruneTimeline): Markup {
  const { instruction, pictures, texts, keep, fps } = timeline;
  const length = keep.length;
  const shown = [
    ...new Set(Array.from({ length: PICTURES }, (_, i) => Math.round((i * (length - 1)) / (PICTURES - 1)))),
  ];
  const strip = shown.map(
    (t) =>
      html`<img class="${keep[t] === 1 ? 'kept' : ''}" src="${dataUri('image/png', pictures[t] as Uint8Array)}" alt="frame ${t}">`,
  );
  const frames = Array.from({ length }, (_, t) => t);
  const kept = frames.filter((t) => keep[t] === 1);
  const dropped = frames.filter((t) => keep[t] !== 1);
  const listed = new Set([...kept.slice(0, KEPT_TEXTS), ...dropped.slice(0, DROPPED_TEXTS)]);
  const words = frames
    .filter((t) => listed.has(t))
    .map((t) =>
      keep[t] === 1
        ? html`<li class="kept"><b>${(t / fps).toFixed(1)} s, kept:</b> ${texts[t] ?? ''}</li>`
        : html`<li class="dropped"><b>${(t / fps).toFixed(1)} s, dropped:</b> <span>${texts[t] ?? ''}</span></li>`,
    );
  const rest = length - listed.size;
  return html`<p class="note" style="margin: 0 0 10px"><q>${instruction}</q>: reasoning is kept on ${kept.length} of ${length} frames: the first one, and where an event begins
and the arm accelerates more than on average or the gripper changes. Pictures with a green frame keep it.</p>
<div class="strip">${strip}</div>${lanes(timeline)}<ul class="thoughts">${words}</ul>${rest > 0 ? html`<p class="note">and ${rest} more frames</p>` : undefined}`;
}

/** Scene score, acceleration and what is kept, over the frames. */
function lanes({ keep, scene, motion, fps }: PruneTimeline): Markup {
  const [width, left, lane] = [920, 118, 62];
  const length = keep.length;
  const slot = (width - left - 8) / length;
  const x = (t: number): number => left + (t + 0.5) * slot;
  const drawn: Markup[] = [];
  let top = 12;
  const name = (text: string): Markup => html`<text x="${left - 10}" y="${top + lane / 2}" class="task">${text}</text>`;
  const frames = Array.from({ length }, (_, t) => t);
  const bars = (values: ArrayLike<number>, on: ArrayLike<number>, colour: string, highest: number): Markup[] =>
    frames.map((t) => {
      const height = (Math.min(highest, Math.max(0, values[t] ?? 0)) / highest) * lane;
      return html`<rect x="${(x(t) - slot * 0.35).toFixed(1)}" y="${(top + lane - height).toFixed(1)}" width="${(slot * 0.7).toFixed(1)}"
        height="${height.toFixed(1)}" style="fill: var(--${colour}); opacity: ${on[t] === 1 ? 1 : 0.25}"/>`;
    });
  if (scene !== null) {
    drawn.push(name('event score'), ...bars(scene.score, scene.events, 'scene', 1));
    top += lane + 14;
  }
  drawn.push(name('acceleration'), ...bars(motion.ratio, motion.labels, 'motion', 3));
  const mean = top + lane * (1 - 1 / 3);
  drawn.push(html`<line x1="${left}" x2="${width - 8}" y1="${mean}" y2="${mean}" class="reference"/>
    <text x="${left + 2}" y="${mean - 8}" class="small">mean</text>`);
  for (const t of frames) {
    if (motion.gripper[t] !== 1) continue;
    drawn.push(html`<text x="${x(t)}" y="${top + 6}" class="small middle">gripper</text>`);
  }
  top += lane + 12;
  drawn.push(html`<text x="${left - 10}" y="${top + 8}" class="task">kept</text>`);
  for (const t of frames)
    drawn.push(html`<rect x="${(x(t) - slot * 0.42).toFixed(1)}" y="${top}" width="${(slot * 0.84).toFixed(1)}" height="16" rx="3"
      style="fill: var(--${keep[t] === 1 ? 'kept' : 'track'})"/>`);
  top += 30;
  const seconds = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const t = part * (length - 1);
    return html`<text x="${x(t)}" y="${top}" class="tick">${(t / fps).toFixed(1)} s</text>`;
  });
  return html`<div class="wide"><svg viewBox="0 0 ${width} ${top + 12}" role="img" aria-label="event score, acceleration and kept frames">${drawn}${seconds}</svg></div>`;
}
