/**
 * Recipe `demo`: the paper's story in a quarter of an hour on two cores: a specialist learns to reason and acts worse, and DualVLA, made from
 * both, acts again (arXiv 2511.22134, Section 3), each measured. The regime `discrete` of the studies at a smaller size.
 *
 * The specialist ships (models/specialist, by scripts/make-specialist.mjs): only a precise one has something to lose, and the data and
 * the 40 minutes of one core that make it so do not fit into a demo. `demo-scratch` trains its own.
 */
import { PRUNINGS, paper, paperModels, type Regime } from './paper.js';
import type { Study, StudyModel } from './study.js';

/** The models of the overview, without pretraining on questions. */
const STORY = ['specialist', 'base', 'dualvla'] as const;

/** The specialist that ships, of regime `discrete`. */
export const SHIPPED_SPECIALIST = 'models/specialist';

/** The three models of the paper's overview, with what each one's `train` group has beside the paper's. */
export function storyModels(regime: Regime, own: Record<(typeof STORY)[number], StudyModel['train']>): StudyModel[] {
  const models = paperModels(regime, { vlm: 1, specialist: 1, reasoning: 1, final: 1 });
  return STORY.map((name) => {
    const model = models.find((one) => one.name === name);
    if (model === undefined) throw new RangeError(`the paper has no model ${name}`);
    const from = name === 'specialist' ? null : model.from;
    return { ...model, from, once: false, train: { ...model.train, ...own[name] } };
  });
}

export function demo(): Study {
  const study = paper('discrete');
  const models = storyModels('discrete', { specialist: {}, base: { steps: 400 }, dualvla: { steps: 600 } });
  return {
    ...study,
    name: 'demo',
    summary:
      'a specialist learns to reason, and DualVLA repairs what that does to its actions: four tasks, a quarter of an hour on two cores',
    demonstrations: { ...study.demonstrations, episodes_per_task: 200 },
    held_out_per_task: 5,
    multimodal: { samples: 4000, test: 50 },
    scene_episodes: 32,
    scene_steps: 150,
    prunings: { 'dual-layer': PRUNINGS['dual-layer'] as NonNullable<(typeof PRUNINGS)[string]> },
    train: { ...study.train, job_name: 'demo', save_every: 0, save_every_s: 60 },
    models: models.map((model) => (model.name === 'specialist' ? { ...model, checkpoint: SHIPPED_SPECIALIST } : model)),
    evaluation: { ...study.evaluation, trials: 100 },
  };
}
