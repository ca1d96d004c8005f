/**
 * LeRobot's language columns, where reasoning belongs: persistent rows (plan, subtask, motion ...) are the same list on every frame
 * of an episode, each active from its timestamp until the next row of its style; event rows sit on one exact frame.
 *
 * Knows nothing about how rows are stored or what they mean to a policy.
 */

/** Styles of the persistent column, and of the event column. */
export const PERSISTENT_STYLES: ReadonlySet<string> = new Set(['subtask', 'plan', 'memory', 'motion', 'task_aug']);
export const EVENT_STYLES: ReadonlySet<string> = new Set(['interjection', 'vqa', 'trace']);
/** Styles whose text speaks of pixels: these need a camera, the others must not have one. */
const VIEW_STYLES: ReadonlySet<string> = new Set(['vqa', 'trace']);

export interface LanguageEvent {
  /** `user`, `assistant`, `system` ... */
  readonly role: string;
  readonly content: string | null;
  readonly style: string | null;
  /** Feature key of the camera that the text is grounded in. */
  readonly camera: string | null;
}
export interface LanguageRow extends LanguageEvent {
  /** Seconds from the episode's start at which the row becomes active. */
  readonly timestamp: number;
}

/** The sentence that says what is wrong with a row, or undefined. */
export function checkLanguageRow(
  row: LanguageEvent,
  column: 'persistent' | 'event',
  cameraFeatureKeys: ReadonlySet<string>,
): string | undefined {
  if (typeof row.role !== 'string' || row.role === '') return 'A row needs a role';
  const styles = column === 'persistent' ? PERSISTENT_STYLES : EVENT_STYLES;
  if (row.style === null ? column === 'persistent' : !styles.has(row.style))
    return `Style "${row.style}" does not belong here; known are ${[...styles].join(', ')}`;
  if (row.style !== null && VIEW_STYLES.has(row.style)) {
    if (row.camera === null || !cameraFeatureKeys.has(row.camera))
      return `Style "${row.style}" needs a camera of the data set`;
  } else if (row.camera !== null) return `Style "${row.style}" may not name a camera`;
  return undefined;
}

/** The row of `style` active at `timestamp` (seconds): the latest that began at or before it. */
export function activeAt(rows: readonly LanguageRow[], style: string, timestamp: number): LanguageRow | undefined {
  let active: LanguageRow | undefined;
  for (const row of rows) {
    // Timestamps are float32 in files: half a millisecond keeps a row on the frame that it was written for.
    if (row.style === style && row.timestamp <= timestamp + 5e-4 && (!active || row.timestamp >= active.timestamp))
      active = row;
  }
  return active;
}

/** Turns one text a frame into rows at its transitions. */
export function transitionRows(
  texts: readonly string[],
  style: string,
  fps: number,
  role = 'assistant',
): LanguageRow[] {
  const rows: LanguageRow[] = [];
  let previous: string | undefined;
  texts.forEach((content, t) => {
    if (content !== previous) rows.push({ role, content, style, timestamp: t / fps, camera: null });
    previous = content;
  });
  return rows;
}

/** Several styles' rows as one list in time order, as the column wants it. */
export function mergeRows(...lists: readonly (readonly LanguageRow[])[]): LanguageRow[] {
  return lists.flat().sort((a, b) => a.timestamp - b.timestamp);
}
