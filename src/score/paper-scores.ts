/**
 * The paper's two tables of VLA Score (arXiv 2511.22134v1), to stand beside one's own: another benchmark, GPT-4o as judge, so orderings compare, not values. All
 * in percent; `sim` is the success rate in SimplerEnv.
 */
export interface PaperScore {
  readonly model: string;
  readonly R?: number;
  readonly A: number;
  readonly I: number;
  readonly RA?: number;
  readonly sim: number;
  readonly vlaScore: number;
}

export const PAPER_SILENT: readonly PaperScore[] = [
  { model: 'RoboVLMs-2B', A: 62.0, I: 71.8, sim: 38.8, vlaScore: 31.2 },
  { model: 'TraceVLA-7B', A: 53.3, I: 62.4, sim: 38.6, vlaScore: 23.2 },
  { model: 'OpenVLA-7B', A: 45.3, I: 57.7, sim: 27.2, vlaScore: 14.2 },
  { model: 'SpatialVLA-3B', A: 61.9, I: 70.5, sim: 45.9, vlaScore: 40.1 },
  { model: 'InstructVLA-E', A: 63.1, I: 73.2, sim: 56.0, vlaScore: 45.3 },
];

export const PAPER_REASONING: readonly PaperScore[] = [
  { model: 'ECoT', R: 47.2, A: 27.9, I: 39.9, RA: 29.6, sim: 0.8, vlaScore: 0.0 },
  { model: 'Emma-X', R: 54.1, A: 39.2, I: 37.2, RA: 29.2, sim: 6.3, vlaScore: 2.2 },
  { model: 'Magma', R: 66.0, A: 61.0, I: 71.2, RA: 36.0, sim: 30.5, vlaScore: 19.5 },
  { model: 'InstructVLA-G (base)', R: 72.3, A: 48.6, I: 68.0, RA: 43.3, sim: 53.0, vlaScore: 35.1 },
  { model: 'DualVLA', R: 74.0, A: 64.8, I: 74.7, RA: 51.0, sim: 61.0, vlaScore: 42.9 },
];
