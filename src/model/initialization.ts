/** Fresh weights. Knows nothing about which model they belong to. */
import { type nn, noGrad } from '../torch/index.js';

/** As transformers initialises its models: matrices N(0, std), biases 0; vectors and kernels (norms, scales, convolutions) stay. */
export function initializeWeights(model: nn.Module, std: number): void {
  noGrad(() => {
    for (const [name, parameter] of model.named_parameters()) {
      if (name.endsWith('bias')) parameter.zero_();
      else if (parameter.dim() === 2) parameter.normal_(0, std);
    }
  });
}
