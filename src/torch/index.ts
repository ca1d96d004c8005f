/** PyTorch in TypeScript: tensors, gradients, modules and optimisers on libtorch. Loads nothing before the first use. */
export {
  type AutocastOptions,
  autocast,
  autograd_grad,
  backward,
  enableGrad,
  type GradOptions,
  isGradEnabled,
  noGrad,
} from './autograd.js';
export type { TensorData, TensorOptions } from './creation.js';
export { type CudaMemory, cuda } from './cuda.js';
export type { Device } from './device.js';
export * as distributed from './distributed.js';
export type { DType, TypedArray } from './dtype.js';
export { ArgumentError, DisposedTensorError, EngineMissingError, ScopeError, TorchError } from './errors.js';
export * as F from './functional.js';
export { MappedFile } from './mapped-file.js';
export * as nn from './nn.js';
export { StateDictError } from './nn.js';
export * as optim from './optim.js';
export { Generator, type Seed } from './random.js';
export * as safetensors from './safetensors.js';
export { scope } from './scope.js';
export { type Nested, type SharedTensor, Tensor, type ToOptions } from './tensor.js';
export { type Torch, torch } from './torch.js';
