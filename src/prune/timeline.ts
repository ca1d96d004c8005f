/**
 * Timelines of some episodes, as the paper's overview figure: frames, scene score and boundaries, acceleration against its mean, what is
 * kept, and the text of every frame; one self-contained HTML file.
 */
import { writeDurable } from '../data/durable-file.js';
import { type Episode, encodePng, LeRobotDataset, REASONING_TEXT_KEY } from '../data/index.js';
import { folderName } from './boundary-labels.js';
import type { PrunedEpisode, PruneResult } from './prune-dataset.js';

export interface TimelineOptions {
  readonly root: string;
  readonly folders: readonly string[];
  readonly result: Pick<PruneResult, 'episodes' | 'report'>;
  /** Episodes to draw, spread over each data set; default 3 each. */
  readonly perFolder?: number;
}

/** Draws timelines and writes them in one step. */
export async function writeTimeline(path: string, options: TimelineOptions): Promise<void> {
  const { root, folders, result, perFolder = 3 } = options;
  const sections: string[] = [];
  for (const folder of folders) {
    const dataset = await LeRobotDataset.open(folder);
    const own = result.episodes.filter((one) => one.folder === folderName(root, folder));
    const count = Math.min(perFolder, own.length);
    for (let i = 0; i < count; i++) {
      const pruned = own[Math.floor((i * own.length) / count)] as PrunedEpisode;
      const camera = Object.keys(dataset.cameras)[0];
      const episode = await dataset.episode(pruned.episode, { images: camera === undefined ? false : [camera] });
      sections.push(await section(episode, pruned, camera));
    }
  }
  const { frames, kept } = result.report;
  writeDurable(
    path,
    `<!doctype html><meta charset="utf-8"><title>Dual-layer pruning</title><style>${STYLE}</style>
<h1>Dual-layer pruning: reasoning kept on ${kept} of ${frames} frames</h1>
<p>Bars: <b class="scene">scene score</b> (filled where an event begins) and <b class="motion">acceleration over its mean</b> (filled where
Eq. 4 gives 1; G: the gripper changes). Frames whose reasoning is kept have a green frame.</p>
${sections.join('\n')}\n`,
  );
}

const STYLE = `body{font:14px system-ui,sans-serif;margin:24px;color:#222}h1{font-size:20px}h2{font-size:15px;margin:28px 0 6px}
.strip{display:flex;gap:4px;overflow-x:auto;padding-bottom:6px}.frame{width:96px;flex:none;border:3px solid #ddd;border-radius:6px;padding:3px;color:#888}
.frame.kept{border-color:#2a9d5c;color:#222}.frame img{width:100%;display:block;image-rendering:pixelated;border-radius:3px}
.bars{display:flex;align-items:flex-end;gap:3px;height:44px;margin-top:3px}.bar{flex:1;border:1px solid;min-height:1px;box-sizing:border-box}
.scene{color:#c2571a}.motion{color:#2767b0}.bar.on{background:currentColor}.label{font-size:11px;min-height:14px}
.text{font-size:10px;line-height:1.25;max-height:88px;overflow:hidden;white-space:pre-line;word-break:break-word}.frame:not(.kept) .text{text-decoration:line-through}`;

async function section(episode: Episode, pruned: PrunedEpisode, camera: string | undefined): Promise<string> {
  const pictures = camera === undefined ? undefined : episode.images[camera];
  const texts = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[] | undefined;
  const events = new Set(pruned.boundaries ?? []);
  const scene = scaled(pruned.sceneScore);
  const cells: string[] = [];
  for (let t = 0; t < episode.length; t++) {
    const picture = pictures && {
      ...pictures,
      data: pictures.data.subarray(
        t * pictures.width * pictures.height * 3,
        (t + 1) * pictures.width * pictures.height * 3,
      ),
    };
    const png = picture && (await encodePng(picture.data, picture.width, picture.height));
    const image = png
      ? `<img alt="frame ${t}" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">`
      : '';
    const motion = Math.min((pruned.motionScore?.[t] ?? 0) / 3, 1);
    const bar = (name: string, height: number, on: boolean): string =>
      `<div class="bar ${name}${on ? ' on' : ''}" style="height:${(height * 100).toFixed(0)}%"></div>`;
    cells.push(
      `<div class="frame${pruned.keep[t] === 1 ? ' kept' : ''}">${image}<div class="bars">${bar('scene', scene[t] ?? 0, events.has(t))}${bar('motion', motion, pruned.motion?.[t] === 1)}</div><div class="label">${t}${pruned.gripperChange?.[t] === 1 ? ' G' : ''}</div><div class="text">${escapeHtml(texts?.[t] ?? '')}</div></div>`,
    );
  }
  const where = pruned.folder === '' ? '' : `${escapeHtml(pruned.folder)} `;
  return `<h2>${where}episode ${episode.index}: ${escapeHtml(episode.task)} (${episode.fps} Hz)</h2><div class="strip">${cells.join('')}</div>`;
}

/** To 0..1 over the episode; probabilities stay as they are. */
function scaled(scores: Float32Array | null): number[] {
  if (!scores) return [];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  if (low >= 0 && high <= 1) return [...scores];
  return Array.from(scores, (score) => (high > low ? (score - low) / (high - low) : 0));
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] as string);
