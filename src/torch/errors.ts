/**
 * The engine's errors. Each says what went wrong, where, and, where a user can mend it, the next command.
 */

/** An operator of libtorch failed; the message names the operator with the shapes and dtypes of its arguments. */
export class TorchError extends Error {
  override readonly name: string = 'TorchError';
  /** Full name of the operator (`aten::matmul`), or null where none was running. */
  readonly operator: string | null;

  constructor(message: string, operator: string | null = null) {
    super(message);
    this.operator = operator;
  }
}

/** No overload of an operator takes the given arguments; the message lists those that exist. */
export class ArgumentError extends TorchError {
  override readonly name = 'ArgumentError';
}

/** A tensor was used after `dispose()` or after the scope it was made in had ended. */
export class DisposedTensorError extends TorchError {
  override readonly name = 'DisposedTensorError';

  constructor(operator: string | null = null) {
    const where = operator === null ? '' : ` by ${operator}`;
    super(`a disposed tensor was used${where}: return it from its scope() or call keep() on it`, operator);
  }
}

/** A `scope()` was used in a way that would free tensors still in use. */
export class ScopeError extends TorchError {
  override readonly name = 'ScopeError';
}

/** The addon or libtorch cannot be loaded; the message ends with the command that mends it. */
export class EngineMissingError extends TorchError {
  override readonly name = 'EngineMissingError';
}
