import { join } from 'node:path';
import { expect, test } from 'vitest';
import { demo, paper, SHIPPED_SPECIALIST, type Study } from '../recipes/index.js';
import { type PlanOptions, planStudy, StudyNameError, type StudyStep, shippedCheckpoint } from './study-plan.js';

const study = paper('discrete');
const plan = (options: Partial<PlanOptions> = {}): Map<string, StudyStep> => {
  const steps = planStudy({ study, out: '/out', seeds: [0], split: 'test', threads: 1, ...options });
  return new Map(steps.map((step) => [step.name, step]));
};
const changed = (a: Map<string, StudyStep>, b: Map<string, StudyStep>): string[] =>
  [...a.keys()].filter((name) => a.get(name)?.hash !== b.get(name)?.hash);
const withModel = (name: string, train: object): Study => ({
  ...study,
  models: study.models.map((model) =>
    model.name === name ? { ...model, train: { ...model.train, ...train } } : model,
  ),
});

test('every step comes after those that it needs', () => {
  const seen = new Set<string>();
  for (const { name, needs } of plan({ seeds: [0, 1] }).values()) {
    expect(needs.filter((needed) => !seen.has(needed))).toEqual([]);
    seen.add(name);
  }
  // VLM and specialist stand for given checkpoints: trained once.
  const trained = study.models.filter(({ train }) => train !== null);
  expect([...seen].filter((name) => name.includes('/train/'))).toHaveLength(2 * (trained.length - 2) + 2);
});

test('a model that is trained once serves every seed', () => {
  const steps = plan({ seeds: [3, 4] });
  for (const name of ['vlm', 'specialist'])
    expect([...steps.keys()].filter((step) => step.endsWith(`/${name}`))).toEqual([
      `seed-0/train/${name}`,
      `seed-0/test/${name}`,
    ]);
  for (const seed of [3, 4]) {
    const base = steps.get(`seed-${seed}/train/base`);
    expect(base?.needs).toContain('seed-0/train/specialist');
    expect(base?.config?.data).toMatchObject({ seed, init_from: join('/out', 'seed-0', 'specialist', 'train') });
  }
});

test('a model needs what it starts from, its teachers and its labels', () => {
  const steps = plan();
  const shared = ['data', 'held-out', 'questions'];
  expect(steps.get('seed-0/train/dualvla')?.needs).toEqual([
    ...shared,
    'labels/dual-layer',
    'seed-0/train/base',
    'seed-0/train/specialist',
  ]);
  expect(steps.get('seed-0/train/continued')?.needs).toEqual([...shared, 'seed-0/train/specialist']);
  expect(steps.get('seed-0/test/dualvla')?.needs).toEqual(['seed-0/train/dualvla']);
  const config = steps.get('seed-0/train/dualvla')?.config?.data as Record<string, Record<string, unknown>>;
  expect(config.init_from).toBe(join('/out', 'seed-0', 'base', 'train'));
  expect(config.distillation).toMatchObject({ action_teacher: join('/out', 'seed-0', 'specialist', 'train') });
  expect(config.reasoning).toMatchObject({ frames: 'kept', keep_labels: join('/out', 'labels', 'dual-layer.json') });
});

test('a layer that is left out leaves the decision to the other', () => {
  const words = (name: string): string => plan().get(`labels/${name}`)?.words.join(' ') ?? '';
  expect(words('dual-layer')).toMatch(/--scene ddm-net --motion eq4 --combine and --detector/);
  expect(words('motion')).toMatch(/--scene none --motion eq4 --combine motion$/);
  expect(words('scene')).toMatch(/--scene ddm-net --motion none --combine scene --detector/);
  expect(words('random')).toMatch(/--combine random/);
});

test('changed settings change a step and all that follow from it, and nothing else', () => {
  const longer = changed(plan(), plan({ study: withModel('base', { steps: 7 }) }));
  expect(longer).toContain('seed-0/train/base');
  expect(longer).toContain('seed-0/test/dualvla');
  expect(longer).toContain('seed-0/train/plain');
  expect(longer.filter((name) => /data|labels|specialist|continued|no-text|\/vlm$/.test(name))).toEqual([]);
  const data = { ...study, demonstrations: { ...study.demonstrations, episodes_per_task: 3 } };
  expect(changed(plan(), plan({ study: data })).filter((name) => ['held-out', 'questions'].includes(name))).toEqual([]);
  expect(changed(plan(), plan({ study: data }))).toContain('seed-0/test/specialist');
  expect(changed(plan(), plan({ trials: 3 })).every((name) => name.includes('/test/'))).toBe(true);
});

test('threads, place and other seeds change nothing', () => {
  expect(changed(plan(), plan({ threads: 2, out: '/elsewhere' }))).toEqual([]);
  expect(changed(plan(), plan({ seeds: [0, 1, 2] }))).toEqual([]);
});

test('validation is measured beside test, from the same models', () => {
  const validation = plan({ split: 'validation' });
  expect(validation.has('seed-0/test/base')).toBe(false);
  expect(validation.get('seed-0/validation/base')?.words).toContain('validation');
  expect(validation.get('seed-0/train/base')?.hash).toBe(plan().get('seed-0/train/base')?.hash);
});

test('--only measures what is named and trains what that is made from', () => {
  const steps = [...plan({ only: ['continued'] }).keys()];
  expect(steps.filter((name) => name.startsWith('seed-0/train/'))).toEqual(
    ['vlm', 'specialist', 'continued'].map((name) => `seed-0/train/${name}`),
  );
  expect(steps.filter((name) => name.startsWith('seed-0/test/'))).toEqual(['seed-0/test/continued']);
  expect(steps.filter((name) => name.startsWith('labels') || name === 'scene')).toEqual([]);
  expect([...plan({ only: ['no-scene'] }).keys()].filter((name) => name.startsWith('labels'))).toEqual([
    'labels/motion',
  ]);
  expect(() => plan({ only: ['dualvl'] })).toThrow(StudyNameError);
});

test('a model under other settings is measured, not trained', () => {
  const steps = plan({ seeds: [3], only: ['dualvla-drawn'] });
  expect([...steps.keys()].filter((name) => !name.includes('/train/')).at(-1)).toBe('seed-3/test/dualvla-drawn');
  expect(steps.has('seed-3/train/dualvla-drawn')).toBe(false);
  const measured = steps.get('seed-3/test/dualvla-drawn');
  expect(measured?.needs).toEqual(['seed-3/train/dualvla']);
  expect(measured?.words).toContain('--sample-skipping');
  expect(measured?.words).toContain(join('/out', 'seed-3', 'dualvla', 'train'));
  expect(measured?.output).toBe(join('/out', 'seed-3', 'dualvla-drawn', 'test'));
});

test('a model that ships is measured, taught from and started from, but not trained', () => {
  const steps = plan({ study: demo() });
  expect([...steps.keys()].filter((name) => name.includes('/train/'))).toEqual([
    'seed-0/train/base',
    'seed-0/train/dualvla',
  ]);
  const folder = shippedCheckpoint(SHIPPED_SPECIALIST);
  const measured = steps.get('seed-0/test/specialist');
  expect(measured?.needs).toEqual(['held-out', 'questions']);
  expect(measured?.words).toContain(folder);
  expect(steps.get('seed-0/train/base')).toMatchObject({
    needs: ['data', 'held-out', 'questions'],
    config: { data: { init_from: folder } },
  });
  expect(steps.get('seed-0/train/dualvla')?.config?.data).toMatchObject({
    init_from: join('/out', 'seed-0', 'base', 'train'),
    distillation: { action_teacher: folder },
  });
  // Another checkpoint is another study, wherever it lies.
  const other = {
    ...demo(),
    models: demo().models.map((m) => ({ ...m, ...(m.checkpoint && { checkpoint: 'models/scene-events' }) })),
  };
  expect(changed(steps, plan({ study: other }))).toEqual([
    'seed-0/test/specialist',
    'seed-0/train/base',
    'seed-0/test/base',
    'seed-0/train/dualvla',
    'seed-0/test/dualvla',
  ]);
});
