/**
 * The studies of the paper's question (arXiv 2511.22134, Sections 3 and 5), in three regimes that differ in how actions are made and
 * what the reasoning stage may change:
 *
 *   paper-discrete   action tokens in one sequence with the words, one token-averaged loss (Eq. 3): OpenVLA and ECoT
 *   paper-frozen     flow-matching expert, frozen while the language model learns to reason: InstructVLA
 *   paper-flow       the same, everything trained
 *
 * Every model after the specialist sees the same number of robot samples in the same schedule; controls beside the paper's own
 * comparison tell forgetting from training longer. docs/replication.md says what is compared with what.
 */
import type { TrainConfigInput } from '../train/config.js';
import type { PruningRecipe, Study, StudyModel } from './study.js';

export const REGIMES = ['discrete', 'frozen', 'flow'] as const;
export type Regime = (typeof REGIMES)[number];

/** Robot and multimodal samples of a step after the specialist: 7 to 1, as the paper's base has them. */
const ROBOT_BATCH = 56;
const MULTIMODAL_BATCH = 8;
/** Questions of a last stage that can forget: each is seen some two dozen times. */
const FEW_QUESTIONS = 500;
/** Longest reasoning that is generated: above the longest annotation. */
const MAX_REASONING = 96;

export const PRUNINGS: Record<string, PruningRecipe> = {
  'dual-layer': { scene: 'ddm-net', motion: 'eq4', combine: 'and' },
  scene: { scene: 'ddm-net', motion: 'none', combine: 'and' },
  motion: { scene: 'none', motion: 'eq4', combine: 'and' },
  random: { scene: 'ddm-net', motion: 'eq4', combine: 'random' },
};

/** Steps of the stages. */
export interface StudyLength {
  vlm: number;
  specialist: number;
  /** Of the reasoning VLA and its controls, and of what is made from it. */
  reasoning: number;
  final: number;
}

/** Models of a regime in the order in which they can be trained. */
export function paperModels(regime: Regime, length: StudyLength): StudyModel[] {
  const reasons = { max_reasoning_tokens: MAX_REASONING };
  // InstructVLA's second stage trains the language side alone.
  const freeze = regime === 'frozen' ? ['action_model'] : [];
  const robotOnly: TrainConfigInput = { batch_size: ROBOT_BATCH };
  const mixed: TrainConfigInput = {
    batch_size: ROBOT_BATCH + MULTIMODAL_BATCH,
    multimodal: { share: MULTIMODAL_BATCH / (ROBOT_BATCH + MULTIMODAL_BATCH) },
  };
  const second: TrainConfigInput = { steps: length.reasoning, optimizer: { lr: 5e-4 }, freeze };
  // The specialist's own rate again. The paper goes from 5e-5 to 2e-5; so few steps repair less with less (LOG.md).
  const last: TrainConfigInput = { ...second, optimizer: { lr: 1e-3 }, steps: length.final };
  const all: TrainConfigInput = { ...mixed, policy: reasons, reasoning: { frames: 'all' } };
  const kept: TrainConfigInput = { ...mixed, ...last, policy: reasons, reasoning: { frames: 'kept' } };
  const dual = { from: 'base', actionTeacher: 'specialist', reasoningTeacher: 'base' };
  // With a flow expert the likelier decision is nearly always to act, as reasoning is left on few frames: whether to think is drawn there.
  // With action tokens the likelier one thinks as often as frames keep their reasoning, and acts more precisely than drawing (LOG.md).
  const drawn = { pruning: 'dual-layer', sampleSkipping: regime !== 'discrete' };
  const pruned = { ...dual, ...drawn, train: kept };
  const few: TrainConfigInput = {
    ...kept,
    multimodal: { ...mixed.multimodal, max_samples: FEW_QUESTIONS },
  };
  return [
    {
      name: 'vlm',
      role: 'multimodal data alone: the starting point',
      from: null,
      train: { steps: length.vlm, batch_size: 64, multimodal: { share: 1 } },
      once: true,
    },
    {
      name: 'specialist',
      role: 'robot data, no reasoning; the action teacher',
      from: 'vlm',
      train: { steps: length.specialist, batch_size: 64 },
      // As the VLM, a given checkpoint in the paper: training seeds repeat the post-training, which is what it is about.
      once: true,
    },
    {
      name: 'base',
      role: 'reasoning VLA: reasoning on every frame and multimodal data (Eq. 3); the reasoning teacher',
      from: 'specialist',
      train: { ...all, ...second },
    },
    {
      name: 'continued',
      role: 'control: the specialist trained on, robot data alone',
      from: 'specialist',
      train: { ...robotOnly, ...second },
    },
    {
      name: 'no-text',
      role: 'control: robot and multimodal data, no reasoning text',
      from: 'specialist',
      train: { ...mixed, ...second },
    },
    {
      name: 'plain',
      role: 'control: the base trained on with its own data',
      from: 'base',
      train: { ...all, ...last },
    },
    { name: 'dualvla', role: 'dual-layer pruning and dual-teacher distillation', ...pruned },
    {
      name: 'dualvla-first',
      role: 'DualVLA as first registered: half the rate in the last stage, whether to think is drawn',
      ...pruned,
      sampleSkipping: true,
      train: { ...kept, optimizer: { lr: 5e-4 } },
    },
    {
      name: 'dualvla-long',
      role: 'DualVLA with twice the steps in the last stage',
      ...pruned,
      train: { ...kept, steps: 2 * length.final },
    },
    {
      name: 'no-pruning',
      role: 'distillation alone: reasoning on every frame',
      ...dual,
      train: { ...all, ...last },
    },
    {
      name: 'random-pruning',
      role: 'reasoning kept at random in the same proportion',
      ...pruned,
      pruning: 'random',
    },
    // Random labels cannot be told from a frame: the likelier decision is to act at once. Drawn, both think as often as they were taught to.
    ...(regime === 'discrete'
      ? ['dualvla', 'random-pruning'].map((name) => ({
          name: `${name.replace('-pruning', '')}-drawn`,
          role: `${name}, whether to think is drawn`,
          from: name,
          train: null,
          sampleSkipping: true,
        }))
      : []),
    { name: 'no-scene', role: 'pruning by motion alone', ...pruned, pruning: 'motion' },
    { name: 'no-motion', role: 'pruning by scene alone', ...pruned, pruning: 'scene' },
    { name: 'no-distillation', role: 'pruning alone', from: 'base', train: kept, ...drawn },
    {
      name: 'no-action-teacher',
      role: 'reasoning teacher alone',
      from: 'base',
      train: kept,
      ...drawn,
      reasoningTeacher: 'base',
    },
    {
      name: 'no-reasoning-teacher',
      role: 'action teacher alone',
      from: 'base',
      train: kept,
      ...drawn,
      actionTeacher: 'specialist',
    },
    // Eq. 6 with the specialist as the teacher: the other reading of the paper's ablation (docs/replication.md, fourth registration).
    {
      name: 'action-teacher-alone',
      role: 'one teacher for everything: the action teacher teaches the answers too',
      ...pruned,
      reasoningTeacher: 'specialist',
    },
    // The base as a teacher knows little more than its student; what it was made from does (docs/replication.md, sixth registration).
    {
      name: 'dualvla-vlm',
      role: 'DualVLA with the VLM as the reasoning teacher',
      ...pruned,
      reasoningTeacher: 'vlm',
    },
    {
      name: 'dualvla-few',
      role: `DualVLA with ${FEW_QUESTIONS} questions in the last stage`,
      ...pruned,
      train: few,
    },
    {
      name: 'no-reasoning-teacher-few',
      role: `action teacher alone, with ${FEW_QUESTIONS} questions in the last stage`,
      from: 'base',
      train: few,
      ...drawn,
      actionTeacher: 'specialist',
    },
    {
      name: 'advantage',
      role: "DualVLA with the teacher's advantage as weight (ours)",
      ...pruned,
      train: { ...kept, distillation: { adaptive: 'advantage' } },
    },
  ];
}

/** Action head and loss of a regime. */
export function regimeConfig(regime: Regime): TrainConfigInput {
  if (regime !== 'discrete') return { loss: { normalization: 'group' } };
  return {
    loss: { normalization: 'token' },
    // 64 bins: at this size of data 256 leave most bins without examples (LOG.md).
    policy: {
      action_head: 'discrete',
      state_token: 'language',
      chunk_size: 4,
      num_execute: 4,
      num_action_bins: 64,
    },
  };
}

/** Until success no longer rises when the specialist is trained on (docs/replication.md): action tokens take longer. */
const SPECIALIST_STEPS: Record<Regime, number> = { discrete: 6000, frozen: 5000, flow: 5000 };

const TASKS = ['widowx/put-carrot-on-plate', 'google/pick-coke-can', 'google/open-drawer', 'google/close-drawer'];

const SUMMARIES: Record<Regime, string> = {
  discrete: 'action tokens in one sequence with the words',
  frozen: 'flow-matching expert, frozen in the reasoning stage',
  flow: 'flow-matching expert, everything trained',
};

export function paper(regime: Regime): Study {
  return {
    name: `paper-${regime}`,
    summary: `the paper's models and ablations, ${SUMMARIES[regime]}; hours a seed on two cores`,
    demonstrations: {
      tasks: TASKS,
      episodes_per_task: 800,
      variants: { vm: 1 },
      image_size: 64,
      cameras: ['third', 'wrist'],
      perturb_probability: 0.1,
      failed_grasp_probability: 0.1,
    },
    reasoning: 'ecot',
    held_out_per_task: 20,
    multimodal: { samples: 20_000, test: 100 },
    scene_episodes: 48,
    prunings: PRUNINGS,
    train: {
      job_name: `paper-${regime}`,
      precision: 'bf16',
      log_every: 50,
      save_every: 500,
      eval_batches: 8,
      optimizer: { lr: 1e-3 },
      dataset: { shift_pixels: 0, cache_mb: 2500 },
      ...regimeConfig(regime),
    },
    models: paperModels(regime, { vlm: 4000, specialist: SPECIALIST_STEPS[regime], reasoning: 750, final: 1500 }),
    evaluation: { tasks: TASKS, variants: ['vm'], trials: 100 },
  };
}
