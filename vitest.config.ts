/**
 * Tests run what is shipped: unit tests lie beside the code, are compiled with it and run from dist/, cross-stage tests
 * (test/) are run from source and import the built package by its name (`dualvla/torch`).
 *
 * One process a test file (native addon, Workers, process groups); two at a time with one engine thread each, so that
 * two cores are full and not oversubscribed.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: [
      { find: /^dualvla\/(\w+)$/, replacement: fileURLToPath(new URL('./dist/$1/index.js', import.meta.url)) },
      { find: /^dualvla$/, replacement: fileURLToPath(new URL('./dist/index.js', import.meta.url)) },
    ],
  },
  test: {
    include: ['dist/**/*.test.js', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    env: { OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? '1', GOMP_SPINCOUNT: '1000' },
    server: { deps: { external: [/\/dist\/(?!.*\.test\.js)/] } },
  },
});
