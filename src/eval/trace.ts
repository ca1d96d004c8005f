/**
 * Traces of episodes: per control step what was seen, thought and done, and what was true then (phase, progress, contacts, places of things),
 * so that an episode can be judged after it was run (the paper's Sec. 3.3). A JSONL file, one episode a line, gzip if its name ends in .gz.
 *
 * Knows nothing of judges.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { type Env, type Phase, TASK_IDS } from '../sim/index.js';
import { gripperInImage, offsets, visibleObjects } from '../sim/narration.js';

const vec3 = z.tuple([z.number(), z.number(), z.number()]);

const stepSchema = z.object({
  /** Measured before the action: x y z (m) roll pitch yaw (rad) gripper (1 open). */
  state: z.array(z.number()).length(7),
  /** Asked for: six deltas (m, rad) and the gripper (1 open); float32 to the last bit, so that an episode can be run again. */
  action: z.array(z.number()).length(7),
  /** Text generated for the chunk in use; null where reasoning was skipped, or for a policy that does not reason. */
  reasoning: z.string().nullable(),
  phase: z.string(),
  /** 0 at the start to 1 at success. */
  progress: z.number(),
  /** Name of what is held. */
  holding: z.string().nullable(),
  /** Names of touching pairs; `table`, `robot`, `finger_left`, `finger_right` and objects. */
  contacts: z.array(z.tuple([z.string(), z.string()])),
  /** Boxes of the task's objects in the third-person image, [u0, v0, u1, v1] from 0 to 1. */
  boxes: z.array(z.object({ name: z.string(), box: z.tuple([z.number(), z.number(), z.number(), z.number()]) })),
  /** The tool in that image. */
  gripper: z.tuple([z.number(), z.number()]),
  /** From the tool to where it works on the subject, and to what the subject is brought to: metres, base frame. */
  toSubject: vec3,
  toReference: vec3.nullable(),
});
export type StepTrace = z.infer<typeof stepSchema>;

const traceSchema = z.object({
  task: z.enum(TASK_IDS),
  variant: z.string(),
  split: z.string(),
  index: z.number(),
  seed: z.number(),
  success: z.boolean(),
  steps: z.number(),
  maxSteps: z.number(),
  instruction: z.string(),
  controlHz: z.number(),
  /** Whether the policy is one that reasons. */
  reasons: z.boolean(),
  /** Body acted on and the one it is brought to, and how instructions call them. */
  subject: z.string(),
  reference: z.string().nullable(),
  nouns: z.array(z.string()).min(1).max(2),
  /** Progress after the last step, and where the arm was. */
  end: z.object({ progress: z.number(), state: z.array(z.number()).length(7) }),
  trace: z.array(stepSchema),
});
export type EpisodeTrace = z.infer<typeof traceSchema>;

/** A file of traces that cannot be read. */
export class TraceFileError extends Error {
  override readonly name = 'TraceFileError';
  constructor(path: string, what: string) {
    super(`${path}: ${what}; record one with: dualvla eval --traces FILE`);
  }
}

const digits = (value: number): number => Math.round(value * 1e6) / 1e6;
/** The shortest number that is this float32 again. */
const exact = (value: number): number => Number(Math.fround(value).toPrecision(9));

/** What is true before an action is carried out. */
export function traceStep(env: Env, action: ArrayLike<number>, reasoning: string | null): StepTrace {
  const { phase, progress, gripper, contacts } = env.privileged();
  const { toSubject, toReference } = offsets(env);
  const round3 = ([x, y, z]: readonly [number, number, number]): [number, number, number] => [
    digits(x),
    digits(y),
    digits(z),
  ];
  const [u, v] = gripperInImage(env);
  return {
    state: Array.from(env.world.proprioception(), digits),
    action: Array.from(action, exact),
    reasoning,
    phase: phase satisfies Phase,
    progress: digits(progress),
    holding: gripper.holding,
    contacts: contacts.map(([a, b]) => [a, b]),
    boxes: visibleObjects(env).map(({ name, box: [a, b, c, d] }) => ({
      name,
      box: [digits(a), digits(b), digits(c), digits(d)],
    })),
    gripper: [digits(u), digits(v)],
    toSubject: round3(toSubject),
    toReference: toReference && round3(toReference),
  };
}

/** What an episode's trace says of its scene and end; call it when the episode is over. */
export function traceScene(env: Env): Pick<EpisodeTrace, 'subject' | 'reference' | 'nouns' | 'end'> {
  const { subject, reference = null, subjectNoun, referenceNoun } = env.goal;
  return {
    subject,
    reference,
    nouns: referenceNoun === undefined ? [subjectNoun] : [subjectNoun, referenceNoun],
    end: { progress: digits(env.privileged().progress), state: Array.from(env.world.proprioception(), digits) },
  };
}

/** Appends traces to a file one by one; each is whole once `add` returns. */
export class TraceWriter {
  /** Empties the file. */
  constructor(readonly path: string) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }

  add(trace: EpisodeTrace): void {
    const line = `${JSON.stringify(trace)}\n`;
    // Gzip members may follow one another.
    appendFileSync(this.path, this.path.endsWith('.gz') ? gzipSync(line) : line);
  }
}

/** Reads a file of traces. @throws TraceFileError naming the line and field that are wrong */
export function readTraces(path: string): EpisodeTrace[] {
  let text: string;
  try {
    const bytes = readFileSync(path);
    text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (error) {
    throw new TraceFileError(path, (error as Error).message);
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      let json: unknown;
      try {
        json = JSON.parse(line);
      } catch {
        throw new TraceFileError(path, `line ${i + 1} is not JSON`);
      }
      const parsed = traceSchema.safeParse(json);
      if (parsed.success) return parsed.data;
      const issue = parsed.error.issues[0];
      throw new TraceFileError(path, `line ${i + 1}: ${issue?.path.join('.')}: ${issue?.message}`);
    });
}
