/** Results, runs or actions that do not fit together: what, where, the next step. */
export class SimplerEnvError extends Error {
  override readonly name = 'SimplerEnvError';
}
