/**
 * `dualvla doctor`: what is found, what is missing and what mends it. The work is done by scripts/doctor.mjs, which needs
 * nothing installed or built; this file gives it its place among the verbs.
 */
import type { Command } from 'commander';

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('tell what engine, threads, BLAS, GPU and tools are found, what is missing and what mends it')
    .option('--json', 'print the same for programs')
    .action(async ({ json }: { json?: boolean }) => {
      const script = new URL('../../scripts/doctor.mjs', import.meta.url).href;
      const { doctor } = (await import(script)) as { doctor: (args: string[]) => number };
      process.exitCode = doctor(json ? ['--json'] : []);
    });
}
