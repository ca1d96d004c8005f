/**
 * Where the time of a training step of the small vision-language-action model goes: forward and backward of the whole and of
 * its parts, in float32 and bfloat16.
 *
 *   npm run build && npx tsx bench/model.ts [--batch 64] [--rounds 20] [--threads 1]
 *
 * Milliseconds of processor time a thread, the lower quartile of all rounds: other work on the machine then counts little.
 * Sizes are the defaults of src/model/vla-config.ts with one camera and 22 text tokens.
 */
import { parseArgs } from 'node:util';
import { EagleVision, FlowMatchingExpert, parseVlaConfig, Qwen2ForCausalLM } from 'dualvla/model';
import { autocast, type nn, scope, type Tensor, torch } from 'dualvla/torch';

const { values } = parseArgs({
  options: {
    batch: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '20' },
    threads: { type: 'string', default: '1' },
  },
});
const B = Number(values.batch);
const rounds = Number(values.rounds);
const threads = Number(values.threads);
torch.set_num_threads(threads);

const {
  vision: visionConfig,
  language,
  action,
  state_dim,
  action_dim,
  chunk_size,
  num_latent_queries,
} = parseVlaConfig({}, { cameras: ['third'], vocab_size: 1024 });
const { downsample_ratio, select_layer, ...siglip } = visionConfig;
const { num_flow_samples, num_sampling_steps: _, visual_tokens: __, ...expertConfig } = action;
const D = language.hidden_size;
const vision = new EagleVision({ vision: siglip, downsample_ratio, select_layer, llm_hidden_size: D });
const languageModel = new Qwen2ForCausalLM({ ...language, vocab_size: 1024 });
const expert = new FlowMatchingExpert({
  ...expertConfig,
  token_size: D,
  action_dim,
  state_dim,
  chunk: chunk_size,
  visual: { kind: 'tokens', width: D },
});
const modules: nn.Module[] = [vision, languageModel, expert];

const V = vision.numTokens;
const TEXT = 22;
const pixels = torch.randn([B, siglip.image_size, siglip.image_size, 3]).permute([0, 3, 1, 2]);
const ids = torch.randint(0, 1000, [B, TEXT], { dtype: 'int64' });
const actions = torch.randn([B, chunk_size, action_dim]);
const state = torch.randn([B, state_dim]);

function languageTokens(visual: Tensor): Tensor {
  return torch.cat([visual, languageModel.embed(ids).to(visual.dtype)], 1);
}
const first = V + TEXT - num_latent_queries;
const query = torch.arange(first, V + TEXT).unsqueeze(0);
const rows_BQ = torch
  .arange(0, B * (V + TEXT), V + TEXT)
  .unsqueeze(1)
  .add(query)
  .flatten();
/** The latent actions, [B, Q, D]. */
function latentActions(visual: Tensor): Tensor {
  return languageModel.forward({ inputs_embeds: languageTokens(visual), rows: rows_BQ, logits: 'none' }).hidden_BSD;
}
function flowLoss(latents: Tensor, visual: Tensor): Tensor {
  const context = expert.encode({ latents, visual_tokens: visual, state });
  return expert.flowLoss(context, actions, undefined, { numSamples: num_flow_samples }).loss;
}

/** Processor time of one run, ms a thread. */
function measure(loss: () => Tensor, bf16: boolean): number {
  const times: number[] = [];
  for (let round = -3; round < rounds; round++) {
    const start = process.cpuUsage();
    scope(() => {
      const value = bf16 ? autocast({ device: 'cpu', dtype: 'bfloat16' }, loss) : loss();
      value.backward();
      for (const module of modules) module.zero_grad();
    });
    const { user, system } = process.cpuUsage(start);
    if (round >= 0) times.push((user + system) / 1000 / threads);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 4)] as number;
}

const rows: [string, (dtype: 'float32' | 'bfloat16') => () => Tensor][] = [
  [
    'whole step',
    () => () => {
      const visual = vision.forward(pixels);
      return flowLoss(latentActions(visual), visual);
    },
  ],
  ['vision: stem', () => () => vision.vision_model.vision_model.embeddings.forward(pixels).sum()],
  ['vision: stem, transformer, projector', () => () => vision.forward(pixels).sum()],
  [
    `language model, ${V + TEXT} tokens`,
    (dtype) => {
      const visual = torch.randn([B, V, D]).to(dtype);
      return () => latentActions(visual).sum();
    },
  ],
  [
    `action expert, ${V + num_latent_queries + 1} + ${num_flow_samples} x ${chunk_size} tokens`,
    (dtype) => {
      const visual = torch.randn([B, V, D]).to(dtype);
      const latents = torch.randn([B, num_latent_queries, D]).to(dtype);
      return () => flowLoss(latents, visual);
    },
  ],
];

const parameters = modules.reduce((sum, module) => sum + module.num_parameters(), 0);
console.log(`batch ${B}, ${parameters} parameters, ${threads} thread(s), libtorch ${torch.version}\n`);
console.log('| forward and backward | f32 ms | bf16 ms |\n|---|---|---|');
for (const [name, make] of rows) {
  const f32 = measure(make('float32'), false);
  const bf16 = measure(make('bfloat16'), true);
  console.log(`| ${name} | ${f32.toFixed(1)} | ${bf16.toFixed(1)} |`);
}
