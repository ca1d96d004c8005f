/**
 * What a training run tells its caller, as plain data: the command line renders it, a server can forward it.
 * Knows nothing about terminals.
 */

/** The run is set up and about to take its first step. */
export interface StartEvent {
  type: 'start';
  runDir: string;
  job: string;
  /** Optimiser steps already done (0 for a new run). */
  step: number;
  steps: number;
  resumedFrom: string | null;
  parameters: number;
  trainableParameters: number;
  samplesPerStep: number;
  worldSize: number;
  threads: number;
  device: string;
  precision: string;
}

/** Averages over the steps since the last step event; `loss`, `parts` and `gradNorm` too. */
export interface StepEvent {
  type: 'step';
  step: number;
  steps: number;
  loss: number;
  /** Parts of the loss and other scalars by name, from the model. */
  parts: Record<string, number>;
  lr: number;
  /** Global gradient norm before clipping. */
  gradNorm: number;
  samplesPerSecond: number;
  /** Part of the time spent waiting for data, 0 to 1. */
  dataWait: number;
  /** Training time so far over all resumes, seconds. */
  elapsedSeconds: number;
  etaSeconds: number;
}

/** Held-out loss, with averaged weights where EMA is on. */
export interface ValidationEvent {
  type: 'validation';
  step: number;
  loss: number;
  parts: Record<string, number>;
  seconds: number;
}

export interface CheckpointEvent {
  type: 'checkpoint';
  step: number;
  directory: string;
  seconds: number;
}

/** Something the user should know that is not an error. */
export interface NoticeEvent {
  type: 'notice';
  message: string;
}

export type EndReason = 'finished' | 'stopped' | 'time budget';

/** The run ended in order; the checkpoint holds everything. */
export interface EndEvent {
  type: 'end';
  reason: EndReason;
  step: number;
  steps: number;
  checkpoint: string;
  elapsedSeconds: number;
}

export type TrainEvent = StartEvent | StepEvent | ValidationEvent | CheckpointEvent | NoticeEvent | EndEvent;
