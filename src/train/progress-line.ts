/**
 * Training events as text: one greppable line an event, without cursor codes. Knows nothing about streams or colours.
 */
import type { TrainEvent } from './events.js';

/** `3`, `42s`, `3m05s`, `2h07m` from seconds. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

/** About four significant digits, in exponent form only where plain digits would be long. */
export function formatScalar(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
  return size >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

function formatCount(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)}B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)}k` : String(value);
}

const formatParts = (parts: Record<string, number>): string =>
  Object.entries(parts)
    .map(([name, value]) => ` ${name} ${formatScalar(value)}`)
    .join('');

/** One line for an event, as the command line shows it. */
export function formatTrainEvent(event: TrainEvent): string {
  switch (event.type) {
    case 'start': {
      const from = event.resumedFrom === null ? '' : `, continuing from ${event.resumedFrom}`;
      const processes = event.worldSize > 1 ? ` on ${event.worldSize} processes` : '';
      return (
        `train ${event.job}: ${formatCount(event.parameters)} parameters (${formatCount(event.trainableParameters)} trained), ` +
        `steps ${event.step}-${event.steps} of ${event.samplesPerStep} samples${processes}, ${event.device} ${event.precision} ` +
        `${event.threads} threads -> ${event.runDir}${from}`
      );
    }
    case 'step':
      return (
        `step ${event.step}/${event.steps} loss ${formatScalar(event.loss)}${formatParts(event.parts)} ` +
        `lr ${formatScalar(event.lr)} grad ${formatScalar(event.gradNorm)} ${formatScalar(event.samplesPerSecond)} samples/s ` +
        `data ${(event.dataWait * 100).toFixed(1)}% eta ${formatDuration(event.etaSeconds)}`
      );
    case 'validation':
      return (
        `validation step ${event.step} loss ${formatScalar(event.loss)}${formatParts(event.parts)} ` +
        `(${formatDuration(event.seconds)})`
      );
    case 'checkpoint':
      return `checkpoint ${event.directory} (${event.seconds.toFixed(1)}s)`;
    case 'notice':
      return `note: ${event.message}`;
    case 'end':
      return (
        `${event.reason} at step ${event.step}/${event.steps} after ${formatDuration(event.elapsedSeconds)} of training; ` +
        `checkpoint ${event.checkpoint}`
      );
  }
}
