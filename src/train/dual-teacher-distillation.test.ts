import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Vla } from '../model/vla.js';
import { PromptBuilder, type PromptTokenizer, type VlaSamples } from '../model/vla-batch.js';
import { parseVlaConfig } from '../model/vla-config.js';
import { vlaLoss } from '../model/vla-loss.js';
import { noGrad, safetensors, scope, type Tensor, torch } from '../torch/index.js';
import { sampleWeights, termWeights } from './distillation-weights.js';
import { distillationLoss, tokenDistillation, velocityDistillation } from './dual-teacher-distillation.js';
import { shareEqualTensors } from './teachers.js';

const FIXTURE = fileURLToPath(new URL('../../test/fixtures/torch/09d_softmax_kl', import.meta.url));

describe('Eq. 5 and 6 against PyTorch (fixture 09d)', () => {
  const { outputs } = JSON.parse(readFileSync(`${FIXTURE}.json`, 'utf8')).runs[1] as { outputs: string[] };
  const file = (): ReturnType<typeof safetensors.open> => safetensors.open(`${FIXTURE}.safetensors`);
  const temperatures = file()
    .keys.filter((key) => /^outputs\/kl\/T[^/]+\/per_token_without_T2$/.test(key))
    .map((key) => Number(/T([^/]+)\//.exec(key)?.[1]));

  it('covers several temperatures', () => {
    expect(outputs.length).toBeGreaterThan(0);
    expect(temperatures.length).toBeGreaterThan(1);
  });

  it.each(temperatures)('T = %d: per token, masked mean, and its gradient', (T) => {
    scope(() => {
      const tensors = file();
      const get = (key: string): Tensor => tensors.get(key);
      const student = get('inputs/student_logits').clone().requires_grad_(true);
      const flat = (x: Tensor): Tensor => x.reshape([-1, x.shape.at(-1) as number]);
      const perToken = tokenDistillation(flat(student), flat(get('inputs/teacher_logits')), T);
      const name = `outputs/kl/T${
        file()
          .keys.find((key) => Number(/kl\/T([^/]+)\//.exec(key)?.[1]) === T)
          ?.split('/T')[1]
          ?.split('/')[0]
      }`;
      const expected = get(`${name}/per_token_without_T2`)
        .flatten()
        .mul(T * T);
      expect(perToken.sub(expected).abs().max().item()).toBeLessThan(1e-5);
      const mask = get('inputs/mask').flatten();
      const loss = perToken.mul(mask).sum().div(mask.sum());
      expect(Math.abs(Number(loss.item()) - Number(get(`${name}/masked_mean/loss`).item()))).toBeLessThan(1e-5);
      loss.backward();
      const gradient = get(`${name}/masked_mean/grad_student`);
      expect((student.grad as Tensor).sub(gradient).abs().max().item()).toBeLessThan(1e-6);
    });
  });
});

/** Words are numbers; what matters here is only that ids differ. */
const tokenizer: PromptTokenizer = {
  encode: (text) => [...text.matchAll(/<[^>]+>|\w+/g)].map(([token]) => tokenizer.idOf(token)),
  decode: (ids) => [...ids].join(' '),
  idOf: (token) => {
    if (token === '<IMG_CONTEXT>') return 0;
    if (token === '<|im_end|>') return 1;
    const latent = /^<new_token_(\d+)>$/.exec(token);
    return latent ? 2 + Number(latent[1]) : 10 + ((token.codePointAt(0) ?? 0) % 40);
  },
};

function tiny(action_head: string): { model: () => Vla; builder: PromptBuilder } {
  const small = { hidden_size: 16, intermediate_size: 16, num_attention_heads: 2, num_hidden_layers: 1 };
  const config = parseVlaConfig(
    {
      action_head,
      chunk_size: 2,
      num_latent_queries: 2,
      num_execute: 1,
      max_reasoning_tokens: 8,
      num_action_bins: 32,
      vision: { image_size: 16, patch_size: 8, ...small },
      language: { ...small, num_key_value_heads: 1 },
      action: small,
    },
    { cameras: ['third'], vocab_size: 96 },
  );
  return { model: () => new Vla(config), builder: new PromptBuilder(config, tokenizer) };
}

const B = 3;
const images = Uint8Array.from({ length: B * 16 * 16 * 3 }, (_, i) => (i * 37) % 251);
const robot: VlaSamples = {
  images: { third: images },
  state: Float32Array.from({ length: B * 7 }, (_, i) => Math.cos(i)),
  instruction: ['pick it', 'open the drawer now', 'close'],
  actions: Float32Array.from({ length: B * 14 }, (_, i) => Math.sin(i * 1.7)),
  actionMask: Uint8Array.of(1, 1, 1, 0, 1, 1),
};
const reasoning = [{ text: 'reach the can', labelled: true }, null, { text: 'push', labelled: true }];
const questions = { images, question: ['how many', 'what', 'where is it'], answer: ['two', 'can', 'left'] };
const options = { lambda: 0.15, temperature: 1, adaptive: 'off' } as const;

describe.each(['flow', 'discrete'])('dual-teacher distillation, %s head', (head) => {
  const { model, builder } = tiny(head);
  const batches = (text: VlaSamples['reasoning']) => ({
    robot: builder.build({ ...robot, ...(text && { reasoning: text }) }),
    multimodal: builder.buildMultimodal(questions),
  });
  const lossOf = (student: Vla, teachers: Parameters<typeof distillationLoss>[2], text: VlaSamples['reasoning']) => {
    torch.manual_seed(7);
    const hard = vlaLoss(student, batches(text));
    return { hard, ...distillationLoss(hard, builder.build(robot), teachers, options) };
  };

  it('teacher = student gives zero, and no gradient', () => {
    scope(() => {
      torch.manual_seed(0);
      const student = model();
      // Without reasoning: with it the student sees more than the teacher.
      const { loss, metrics } = lossOf(student, { action: student, reasoning: student }, undefined);
      expect(Number(metrics.action_kd?.item())).toBeLessThan(1e-6);
      expect(Number(metrics.reasoning_kd?.item())).toBeLessThan(1e-6);
      loss?.backward();
      const largest = Math.max(...student.parameters().map((p) => Number(p.grad?.abs().max().item() ?? 0)));
      expect(largest).toBeLessThan(1e-5);
    });
  });

  it('the domain picks the teacher: each gives gradients to its own domain only', () => {
    scope(() => {
      torch.manual_seed(1);
      const [student, teacher] = [model(), model()];
      const both = lossOf(student, { action: teacher, reasoning: teacher }, reasoning);
      expect(Object.keys(both.metrics).sort()).toEqual(['action_kd', 'reasoning_kd']);
      expect(Object.keys(lossOf(student, { action: teacher }, reasoning).metrics)).toEqual(['action_kd']);
      expect(Object.keys(lossOf(student, { reasoning: teacher }, reasoning).metrics)).toEqual(['reasoning_kd']);
      expect(lossOf(student, {}, reasoning).loss).toBeNull();
      const { action_kd, reasoning_kd } = both.metrics;
      const expected = 0.15 * (Number(action_kd?.item()) + Number(reasoning_kd?.item()));
      expect(Number(both.loss?.item())).toBeCloseTo(expected, 5);
      expect(expected).toBeGreaterThan(1e-4);
      // The teacher stays as it is.
      both.loss?.backward();
      expect(teacher.parameters().every((p) => p.grad === null)).toBe(true);
    });
  });

  it('reasoning before the actions does not shift which action is compared with which', () => {
    scope(() => {
      torch.manual_seed(2);
      const student = model();
      const { hard } = lossOf(student, { action: student }, reasoning);
      const own = distillationLoss(hard, builder.build(robot), { action: student }, options);
      // The row without reasoning sees exactly what the teacher sees, the others do not.
      expect(Number(own.metrics.action_kd?.item())).toBeGreaterThan(0);
      expect(Number.isFinite(Number(own.metrics.action_kd?.item()))).toBe(true);
    });
  });
});

it('velocities: the mean over rows is the masked mean', () => {
  scope(() => {
    torch.manual_seed(3);
    const [a, b] = [torch.randn([3, 4, 2, 7]), torch.randn([3, 4, 2, 7])];
    const mask = torch.tensor([1, 1, 1, 0, 0, 1], { dtype: 'float32' }).view([3, 2]);
    const weight = mask.view([3, 1, 2, 1]).expand([3, 4, 2, 7]);
    const masked = a.sub(b).pow(2).mul(weight).sum().div(weight.sum());
    expect(velocityDistillation(a, b, mask).mean().item()).toBeCloseTo(Number(masked.item()), 5);
    expect(velocityDistillation(a, b).mean().item()).toBeCloseTo(Number(a.sub(b).pow(2).mean().item()), 5);
  });
});

it('w(domain, kept): the switch of Section 3.2.2', () => {
  expect(termWeights('robot', true, 0.15)).toEqual({ action: 1, text: 1, actionKd: 0.15, reasoningKd: 0 });
  expect(termWeights('robot', false, 0.15)).toEqual({ action: 1, text: 0, actionKd: 0.15, reasoningKd: 0 });
  expect(termWeights('multimodal', true, 0.15)).toEqual({ action: 0, text: 1, actionKd: 0, reasoningKd: 0.15 });
});

it('adaptive weights: mean one, more where the teacher is better', () => {
  scope(() => {
    const student = torch.tensor([1, 1, 1, 1]);
    const teacher = torch.tensor([0.1, 1, 2, 5]);
    const weights = sampleWeights('advantage', student, teacher).tolist() as number[];
    expect(weights.reduce((a, b) => a + b, 0) / 4).toBeCloseTo(1, 5);
    expect([...weights].sort((a, b) => b - a)).toEqual(weights);
    expect(weights[3]).toBeLessThan(0.05);
    const equal = sampleWeights('advantage', student, student).tolist() as number[];
    for (const weight of equal) expect(weight).toBeCloseTo(1, 5);
  });
});

it('teachers share the tensors that are equal', () => {
  scope(() => {
    torch.manual_seed(4);
    const { model } = tiny('flow');
    const [a, b] = [model(), model()];
    noGrad(() => a.vision.parameters().forEach((p, i) => void b.vision.parameters()[i]?.copy_(p)));
    const known = new Map<string, Tensor>();
    // Within one model, equal tensors (zeros, ones of norms) are shared as well.
    shareEqualTensors(a, known);
    const before = known.size;
    expect(shareEqualTensors(b, known)).toBeGreaterThanOrEqual(a.vision.parameters().length);
    expect(known.size).toBeGreaterThan(before);
    const [first, second] = [a.vision.parameters()[0] as Tensor, b.vision.parameters()[0] as Tensor];
    noGrad(() => first.fill_(3));
    expect(second.max().item()).toBe(3);
  });
});
