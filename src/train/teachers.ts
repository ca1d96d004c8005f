/**
 * The frozen teachers of a distillation run. They must speak the student's language: same tokenizer, action statistics and action
 * head, or their outputs mean something else. Tensors that both have in common (a vision encoder that was never trained, a frozen
 * action expert) are held once, found by the hash of their bytes.
 */
import { createHash } from 'node:crypto';
import type { Vla } from '../model/vla.js';
import { noGrad, scope, type Tensor } from '../torch/index.js';
import type { TrainConfig } from './config.js';
import type { Teachers } from './dual-teacher-distillation.js';
import { ConfigError } from './errors.js';
import { loadPretrained, type PretrainedParts, statisticsToJson } from './pretrained.js';

/**
 * Loads the teachers that the configuration names.
 * @throws ConfigError if a teacher does not fit the student; NoPretrainedModelError
 */
export function loadTeachers(config: TrainConfig, student: PretrainedParts, device: string): Teachers {
  const { action_teacher, reasoning_teacher } = config.distillation;
  const shared = new Map<string, Tensor>();
  const load = (path: string | null, key: string): Vla | undefined => {
    if (path === null) return undefined;
    const teacher = loadPretrained(path, device);
    checkFits(teacher, student, `distillation.${key}`, path);
    for (const parameter of teacher.model.parameters()) parameter.requires_grad_(false);
    shareEqualTensors(teacher.model, shared);
    return teacher.model;
  };
  return { action: load(action_teacher, 'action_teacher'), reasoning: load(reasoning_teacher, 'reasoning_teacher') };
}

/** Lets every parameter that equals one in `known` share its memory, and adds the others. @returns how many were shared */
export function shareEqualTensors(model: Vla, known: Map<string, Tensor>): number {
  let count = 0;
  noGrad(() => {
    for (const parameter of model.parameters()) {
      const key = hashOf(parameter);
      const same = known.get(key);
      if (same === undefined) known.set(key, parameter);
      else {
        const alias = same.detach();
        parameter.set_data(alias);
        alias.dispose();
        count++;
      }
    }
  });
  return count;
}

/** SHA-256 of a model's configuration and weights: equal for models that answer alike. */
export function fingerprintOf(model: Vla): string {
  const hash = createHash('sha256').update(JSON.stringify(model.config));
  scope(() => {
    for (const [name, tensor] of Object.entries(model.state_dict())) hash.update(`\n${name} ${hashOf(tensor)}`);
  });
  return hash.digest('hex');
}

function hashOf(tensor: Tensor): string {
  const values = tensor.detach().to('cpu').contiguous();
  const bytes = values.data<Float32Array>();
  const hash = createHash('sha256').update(`${tensor.dtype} ${tensor.shape.join('x')} `);
  return hash.update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)).digest('hex');
}

function checkFits(teacher: PretrainedParts, student: PretrainedParts, key: string, path: string): void {
  const refuse = (what: string): never => {
    throw new ConfigError(`${key}: ${path} has ${what} than the student; a teacher's outputs must mean the same`, key);
  };
  if (teacher.config.action_head !== student.config.action_head) refuse('another action head');
  if (teacher.config.cameras.join() !== student.config.cameras.join()) refuse('other cameras');
  if (JSON.stringify(teacher.tokenizer.json) !== JSON.stringify(student.tokenizer.json)) refuse('another tokenizer');
  const statistics = (parts: PretrainedParts): string => JSON.stringify(statisticsToJson(parts.statistics));
  if (statistics(teacher) !== statistics(student)) refuse('other action statistics');
}
