/**
 * The paper's own figures (arXiv 2511.22134v1), to stand beside ours: another benchmark with other models, so orderings compare, not
 * values. SimplerEnv averages are over nine columns.
 */

/** Average success in SimplerEnv (Table 2) of what our models stand for: the model's name there, and its average, %. */
export const PAPER_SUCCESS: Record<'flow' | 'discrete', Record<string, { name: string; average: number }>> = {
  flow: {
    specialist: { name: 'InstructVLA-E', average: 56.0 },
    base: { name: 'InstructVLA-G', average: 53.0 },
    dualvla: { name: 'DualVLA', average: 61.0 },
  },
  discrete: {
    specialist: { name: 'OpenVLA', average: 27.2 },
    base: { name: 'ECoT', average: 1.0 },
  },
};

/** VLA Score and its parts. */
export const PAPER_VLA_SCORE: Record<
  string,
  { name: string; R?: number; A: number; I: number; RA?: number; score: number }
> = {
  specialist: { name: 'InstructVLA-E', A: 63.1, I: 73.2, score: 45.3 },
  base: { name: 'InstructVLA-G', R: 72.3, A: 48.6, I: 68.0, RA: 43.3, score: 35.1 },
  dualvla: { name: 'DualVLA', R: 74.0, A: 64.8, I: 74.7, RA: 51.0, score: 42.9 },
};

/** Ablations (Tables 6 to 8): Google robot, WidowX, multimodal, and the mean of the three, %. */
export interface PaperAblation {
  title: string;
  /** Our model's name and the paper's four figures. */
  rows: { model: string; name: string; figures: readonly [number, number, number, number] }[];
}

const full = { model: 'dualvla', name: 'DualVLA', figures: [73.4, 31.1, 65.4, 56.6] } as const;

export const PAPER_ABLATIONS: readonly PaperAblation[] = [
  {
    title: 'Training strategies',
    rows: [
      { model: 'base', name: 'base', figures: [67.1, 25.0, 65.5, 52.5] },
      { model: 'plain', name: 'plain fine-tuning', figures: [66.1, 33.3, 65.1, 54.8] },
      { model: 'no-pruning', name: 'no pruning', figures: [72.4, 29.2, 65.0, 55.6] },
      { model: 'no-distillation', name: 'no distillation', figures: [70.4, 28.1, 65.2, 54.5] },
      full,
    ],
  },
  {
    title: 'Pruning',
    rows: [
      full,
      { model: 'random-pruning', name: 'random, same proportion', figures: [63.6, 23.1, 64.6, 50.4] },
      { model: 'no-motion', name: 'no action layer', figures: [72.0, 30.3, 64.8, 55.7] },
      { model: 'no-scene', name: 'no scene layer', figures: [66.8, 28.3, 61.3, 52.1] },
    ],
  },
  {
    title: 'Distillation',
    rows: [
      full,
      { model: 'no-action-teacher', name: 'no action teacher', figures: [67.8, 26.1, 65.2, 53.0] },
      { model: 'no-reasoning-teacher', name: 'no reasoning teacher', figures: [74.3, 34.7, 30.7, 46.6] },
      { model: 'action-teacher-alone', name: 'the action teacher on everything', figures: [74.3, 34.7, 30.7, 46.6] },
    ],
  },
];
