/** A data set as people name it: a local folder, or one of the Hub, which is downloaded into the cache with progress. */
import { existsSync } from 'node:fs';
import type { HubDatasetId } from '../data/index.js';
import { CommandError, UsageError } from './errors.js';
import { withStopSignal } from './stop-signal.js';
import { Progress } from './terminal.js';

/** What --help says of such an argument. */
export const HUB_ID_HELP = 'or on the Hub: owner/name, hf://datasets/owner/name@revision';

/**
 * The local folder that `text` means. Progress goes to standard error.
 * @param options.metadataOnly of a LeRobot data set on the Hub fetch `meta/` alone
 * @throws CommandError where it was never finished; UsageError where it is neither a folder nor could be a name on the Hub; what downloadHubDataset throws
 */
export async function datasetFolder(text: string, options: { metadataOnly?: boolean } = {}): Promise<string> {
  if (existsSync(text)) return text;
  const { datasetState, hubIdText, parseHubId, partialFolder } = await import('../data/index.js');
  if (existsSync(partialFolder(text))) {
    // Killed between its last two steps it is whole, under the wrong name; this mends that.
    if (datasetState(text) === 'finished') return text;
    throw new CommandError(
      `${text} is not finished (${partialFolder(text)}); next: the command that was writing it, with --resume`,
    );
  }
  const id = parseHubId(text);
  // outputs/dmeo beside a folder outputs is a slip of the pen.
  const isLocal = !text.startsWith('hf://') && existsSync(text.split('/')[0] ?? '');
  if (!id || isLocal) throw new UsageError(`there is no folder ${text}`);
  if (!text.startsWith('hf://'))
    process.stderr.write(`there is no folder ${text}; looking on the Hub for ${hubIdText(id)}\n`);
  return download(id, options);
}

async function download(id: HubDatasetId, { metadataOnly = false }: { metadataOnly?: boolean }): Promise<string> {
  const { downloadHubDataset, hubIdText } = await import('../data/index.js');
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10;
  let progress: Progress | undefined;
  const { folder } = await withStopSignal(
    (signal) =>
      downloadHubDataset(id, {
        metadataOnly,
        signal,
        onWaiting: ({ pid }) =>
          process.stderr.write(`process ${pid} is downloading ${hubIdText(id)}; waiting for it\n`),
        onProgress: ({ bytes, total }) => {
          progress ??= new Progress('downloading, MB', megabytes(total));
          progress.update(megabytes(bytes));
        },
      }).finally(() => progress?.clear()),
    () => process.stderr.write('stopping; next: the same command, it continues the download\n'),
  );
  return folder;
}
