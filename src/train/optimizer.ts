/**
 * The optimiser and the weight average that a configuration asks for. Weight decay applies to tensors with two or more
 * dimensions (matrices, convolutions, embeddings), not to norms, biases and other vectors.
 *
 * Knows nothing about learning-rate schedules; the loop sets the rate.
 */
import type { Module } from '../torch/module.js';
import { AdamW, EMA } from '../torch/optim.js';
import type { TrainConfig } from './config.js';

export interface OptimizerAndAverage {
  optimizer: AdamW;
  /** Null where the configuration has it off. */
  ema: EMA | null;
}

export function createOptimizer(model: Module, config: Pick<TrainConfig, 'optimizer' | 'ema'>): OptimizerAndAverage {
  const { lr, betas, eps, weight_decay } = config.optimizer;
  const trained = model.parameters().filter((parameter) => parameter.requires_grad);
  const groups = [
    { name: 'decayed', params: trained.filter((parameter) => parameter.dim() >= 2), weight_decay },
    { name: 'not decayed', params: trained.filter((parameter) => parameter.dim() < 2), weight_decay: 0 },
  ];
  return {
    optimizer: new AdamW(
      groups.filter(({ params }) => params.length > 0),
      { lr, betas, eps },
    ),
    ema: config.ema.enabled ? new EMA(model, config.ema.decay, { warmup: true }) : null,
  };
}
