/**
 * Who frees a tensor. Inside `scope()` the end of the scope does, except for the tensors it returns and those kept; outside
 * of any scope the garbage collector does, or `dispose()` / `using` earlier.
 *
 * JavaScript's finalizers never run inside a synchronous loop, and a tensor is a few bytes to its garbage collector,
 * however large it is. Hence scopes for loops; and as a second line the addon holds weak references to unscoped tensors,
 * which it polls when their number or size has grown.
 */
import { addon, hot, io } from './addon.js';
import { ScopeError } from './errors.js';
import { Tensor } from './tensor.js';

/** The tensors that a running `scope()` will free. */
export class Scope {
  readonly tensors: Tensor[] = [];
  constructor(readonly parent: Scope | null) {}
}

let current: Scope | null = null;
/** Lives as long as the module: a registry that is itself collected reports nothing. */
let collections: FinalizationRegistry<undefined> | undefined;

/**
 * Runs `body` and frees every tensor made in it, except those in what it returns (alone, in arrays, plain objects and Maps,
 * nested) and those on which `keep()` was called.
 *
 * `body` must be synchronous: a Promise would outlive the scope (ScopeError).
 *
 * ```ts
 * const loss = scope(() => F.mse_loss(model.forward(x), y).item());
 * ```
 */
export function scope<T>(body: () => T): T {
  const own = new Scope(current);
  current = own;
  try {
    const result = body();
    if (isPromise(result)) {
      throw new ScopeError(
        'scope() was given an asynchronous function: its tensors would be freed while it still runs',
      );
    }
    release(own, result);
    return result;
  } catch (error) {
    release(own, undefined);
    throw error;
  } finally {
    current = own.parent;
  }
}

/** Gives a new tensor its owner: the running scope or the garbage collector. */
export function adoptHandle(tensor: Tensor): Tensor {
  if (current !== null) {
    tensor.scope = current;
    current.tensors.push(tensor);
  } else {
    track(tensor);
  }
  return tensor;
}

/** Takes a tensor out of its scope and leaves it to the garbage collector. */
export function keepTensor(tensor: Tensor): void {
  if (tensor.scope === null) return;
  tensor.scope = null;
  if (tensor.handle !== 0) track(tensor);
}

function track(tensor: Tensor): void {
  hot.track(tensor, tensor.handle);
  if (collections === undefined) watchCollector();
}

/** After each garbage collection the addon frees what was collected; a small object tells when there was one. */
function watchCollector(): void {
  const registry = new FinalizationRegistry<undefined>(() => {
    addon.poll();
    registry.register({}, undefined);
  });
  registry.register({}, undefined);
  collections = registry;
}

function release(scope: Scope, result: unknown): void {
  if (result !== undefined) passOn(result, scope);
  const limit = io.length - 1;
  let count = 0;
  for (const tensor of scope.tensors) {
    if (tensor.scope !== scope || tensor.handle === 0) continue;
    tensor.scope = null;
    io[++count] = tensor.handle;
    tensor.handle = 0;
    if (count === limit) {
      io[0] = count;
      hot.release();
      count = 0;
    }
  }
  scope.tensors.length = 0;
  if (count === 0) return;
  io[0] = count;
  hot.release();
}

/** Moves the tensors in a result to the enclosing scope. */
function passOn(value: unknown, scope: Scope): void {
  if (value instanceof Tensor) {
    if (value.scope !== scope) return;
    if (scope.parent === null) {
      keepTensor(value);
    } else {
      value.scope = scope.parent;
      scope.parent.tensors.push(value);
    }
  } else if (Array.isArray(value)) {
    for (const element of value) passOn(element, scope);
  } else if (isPlainObject(value)) {
    for (const element of Object.values(value)) passOn(element, scope);
  } else if (value instanceof Map) {
    for (const element of value.values()) passOn(element, scope);
  }
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
