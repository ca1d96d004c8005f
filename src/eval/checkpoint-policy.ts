/**
 * A trained checkpoint as a policy for rollouts: loads the weights, names cameras as the simulator does, and tells what
 * pictures it wants to see.
 */
import type { VlaPolicy, VlaPolicyOptions } from '../model/policy.js';
import { CAMERAS, type CameraName } from '../sim/index.js';
import { loadPolicy } from '../train/pretrained.js';
import type { ActingPolicy, RolloutPolicy } from './rollout.js';

/** The checkpoint looks through a camera that the simulator does not have. */
export class UnknownCameraError extends Error {
  override readonly name = 'UnknownCameraError';
  constructor(camera: string, path: string) {
    super(`${path} looks through the camera ${camera}; the simulator has ${CAMERAS.join(' and ')}`);
  }
}

/** A checkpoint that acts, and how it thinks. */
export interface CheckpointPolicy extends Extract<RolloutPolicy, { kind: 'policy' }> {
  /** The text behind the chunk a session carries out; null if there is none. */
  policy: ActingPolicy & { thought(session: number): string | null };
  /** Whether it is a reasoning VLA. */
  reasons: boolean;
  /** Counted over all sessions: predictions, those with reasoning, its tokens. */
  thinking: Readonly<VlaPolicy['thinking']>;
}

/**
 * @param path a run directory, a checkpoint in it, or its `pretrained_model`
 * @throws NoPretrainedModelError without a checkpoint; UnknownCameraError
 */
export function loadCheckpointPolicy(path: string, options: VlaPolicyOptions = {}): CheckpointPolicy {
  const policy = loadPolicy(path, options);
  const { config } = policy.model;
  const columns = new Map(config.cameras.map((column) => [column, cameraOf(column, path)]));
  const acting: CheckpointPolicy['policy'] = {
    reset: (session) => policy.reset(session),
    thought: (session) => policy.thought(session),
    act: (requests) =>
      policy.act(
        requests.map(({ session, observation }) => ({
          session,
          observation: {
            state: observation.state,
            instruction: observation.instruction,
            images: Object.fromEntries(
              [...columns].map(([column, camera]) => [column, observation.images[camera] as Uint8Array]),
            ),
          },
        })),
      ),
  };
  return {
    kind: 'policy',
    policy: acting,
    executes: config.num_execute,
    reasons: config.max_reasoning_tokens > 0,
    thinking: policy.thinking,
    imageSize: config.vision.image_size,
    cameras: [...new Set(columns.values())],
  };
}

/** `observation.images.third` or `third` -> `third`. */
function cameraOf(column: string, path: string): CameraName {
  const name = column.replace(/^observation\.images\./, '');
  const camera = CAMERAS.find((known) => known === name);
  if (camera === undefined) throw new UnknownCameraError(column, path);
  return camera;
}
