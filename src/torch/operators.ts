/**
 * Makes libtorch's operators callable: as functions of `torch`, and as methods of Tensor where the first parameter is
 * `self`. Their list comes from the loaded libtorch, so an engine newer than the generated types offers its own.
 */
import { loadAddon, onLoad } from './addon.js';
import { invoke, operatorOf, type Result } from './dispatch.js';
import { type Operator, operatorNames } from './schema.js';
import { Tensor } from './tensor.js';

const ATEN = 'aten::';

onLoad(installMethods);

/**
 * An object with `own` functions and, below them, every aten operator. The operators are filled in when the first of them
 * is asked for, which loads the engine.
 */
export function installOperators(own: object): object {
  const operators: Record<string, unknown> = Object.create(
    new Proxy(Object.create(null) as object, {
      get(_, name) {
        // `then` would make the object look like a Promise to `await`, and symbols are JavaScript's own.
        if (typeof name === 'symbol' || name === 'then' || name === 'toJSON') return undefined;
        if (!filled) {
          filled = true;
          loadAddon();
          fill(operators);
          if (name in operators) return operators[name];
        }
        return undefined;
      },
    }),
  ) as Record<string, unknown>;
  let filled = false;
  return Object.create(operators, Object.getOwnPropertyDescriptors(own)) as object;
}

function fill(target: Record<string, unknown>): void {
  for (const name of atenNames()) target[name] = functionOf(`${ATEN}${name}`);
}

function installMethods(): void {
  const prototype = Tensor.prototype as unknown as Record<string, unknown>;
  const taken = new Set(Object.getOwnPropertyNames(prototype));
  for (const name of atenNames()) if (!taken.has(name)) prototype[name] = methodOf(`${ATEN}${name}`);
}

function atenNames(): string[] {
  return operatorNames()
    .filter((name) => name.startsWith(ATEN))
    .map((name) => name.slice(ATEN.length));
}

function functionOf(name: string): (...args: unknown[]) => Result {
  let operator: Operator | undefined;
  return (...args) => {
    operator ??= operatorOf(name);
    return invoke(operator, undefined, args);
  };
}

function methodOf(name: string): (this: Tensor, ...args: unknown[]) => Result {
  let operator: Operator | undefined;
  return function (this: Tensor, ...args) {
    operator ??= operatorOf(name);
    return invoke(operator, this, args);
  };
}
