/**
 * Whether words and actions pull the language model the same way: the cosine between the gradients of the text term and of the
 * action term of one batch, over the weights that both train. Negative means that learning one undoes the other. A diagnostic of
 * the paper's argument (arXiv 2511.22134, Section 3.2), not part of the loss.
 */
import type { Vla } from '../model/vla.js';
import type { VlaLoss } from '../model/vla-loss.js';
import { autograd_grad } from '../torch/autograd.js';
import { noGrad, type Tensor, torch } from '../torch/index.js';

/** Metric names to scalars: one entry for each of robot text and answers that the batch has. */
export function gradientCosine(model: Vla, { terms }: VlaLoss): Record<string, Tensor> {
  const action = terms.flow_loss ?? terms.token_loss;
  if (action === undefined) return {};
  const shared = model.language_model.parameters().filter((parameter) => parameter.requires_grad);
  const gradient = (term: Tensor): Tensor => {
    const parts = autograd_grad(term, shared, { retain_graph: true, allow_unused: true });
    return torch.cat(parts.map((part, i) => (part ?? torch.zeros_like(shared[i] as Tensor)).flatten().to('float32')));
  };
  const ofAction = gradient(action);
  const cosines: Record<string, Tensor> = {};
  for (const [name, term] of [
    ['cosine_text', terms.text_loss],
    ['cosine_multimodal', terms.multimodal_loss],
  ] as const) {
    if (term === undefined) continue;
    const other = gradient(term);
    cosines[name] = noGrad(() => ofAction.dot(other).div(ofAction.norm().mul(other.norm()).clamp(1e-12)));
  }
  return cosines;
}
