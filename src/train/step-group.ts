/**
 * Averages over the optimiser steps of one log line. Knows nothing about how a step is made.
 */
import type { TrainConfig } from './config.js';
import type { StepEvent } from './events.js';

export class StepGroup {
  #steps = 0;
  #sums: Record<string, number> = {};
  /** Steps that had a value: some are measured now and then. */
  #counts: Record<string, number> = {};
  #gradNorm = 0;
  #seconds = 0;
  #waited = 0;

  constructor(readonly config: TrainConfig) {}

  /** Adds one optimiser step of `seconds`, `waited` of them spent waiting for data. */
  add(loss: number, parts: Record<string, number>, gradNorm: number, seconds: number, waited: number): void {
    this.#steps += 1;
    for (const [name, value] of Object.entries({ loss, ...parts })) {
      this.#sums[name] = (this.#sums[name] ?? 0) + value;
      this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    }
    this.#gradNorm += gradNorm;
    this.#seconds += seconds;
    this.#waited += waited;
  }

  /** The event of the steps since the last call. */
  take(step: number, lr: number, elapsedSeconds: number): StepEvent {
    const { config } = this;
    const { loss = Number.NaN, ...parts } = Object.fromEntries(
      Object.entries(this.#sums).map(([name, sum]) => [name, sum / (this.#counts[name] ?? 1)]),
    );
    const perStep = this.#seconds / this.#steps;
    const bySteps = (config.steps - step) * perStep;
    const byTime = config.time_budget_s === null ? bySteps : Math.max(0, config.time_budget_s - elapsedSeconds);
    const event: StepEvent = {
      type: 'step',
      step,
      steps: config.steps,
      loss,
      parts,
      lr,
      gradNorm: this.#gradNorm / this.#steps,
      samplesPerSecond: (config.batch_size * config.grad_accumulation) / perStep,
      dataWait: this.#waited / this.#seconds,
      elapsedSeconds,
      etaSeconds: Math.min(bySteps, byTime),
    };
    this.#steps = this.#gradNorm = this.#seconds = this.#waited = 0;
    this.#sums = {};
    this.#counts = {};
    return event;
  }
}
