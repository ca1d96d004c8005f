/**
 * The command line `dualvla`: one verb a file, each loading what it needs only when it runs, so that help is instant and
 * works without the engine.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { registerData } from './data.js';
import { registerDemo } from './demo.js';
import { registerDoctor } from './doctor.js';
import { describeError, EXIT, exitCodeOf } from './errors.js';
import { registerEval } from './eval.js';
import { registerLaunch } from './launch.js';
import { registerMeasure } from './measure.js';
import { registerPrune } from './prune.js';
import { registerRecipes } from './recipes.js';
import { registerRollout } from './rollout.js';
import { registerScore } from './score.js';
import { registerSim } from './sim.js';
import { registerStudy } from './study.js';
import { registerTrain } from './train.js';

const EXAMPLES = `Examples:
  dualvla doctor                                    is everything there? what mends it?
  dualvla demo                                      demonstrations, training, evaluation, report: all in one
  dualvla rollout --task widowx/put-carrot-on-plate --policy expert --video carrot.mp4
  dualvla train --recipe debug                      train a model in seconds
  dualvla eval --policy models/specialist           success table of a checkpoint
`;

const VERBS = [
  registerDoctor,
  registerDemo,
  registerData,
  registerPrune,
  registerTrain,
  registerStudy,
  registerRollout,
  registerMeasure,
  registerEval,
  registerScore,
  registerSim,
  registerRecipes,
  registerLaunch,
];

/** All verbs, ready to parse a command line. Throws CommanderError instead of leaving the process. */
export function createProgram(): Command {
  const program = new Command('dualvla')
    .description('Vision-language-action models that reason and still act (DualVLA, arXiv 2511.22134).')
    .version(ownVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'tell more')
    .helpCommand(false)
    // Options belong to the last verb named before them: prune and prune train-scene share names.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText('before', EXAMPLES)
    .addHelpText('after', "\nExit codes: 0 done, 1 failed, 2 wrong usage. 'dualvla VERB --help' tells more.");
  for (const register of VERBS) register(program);
  return program;
}

/**
 * Runs one command line.
 * @param args the words after `dualvla`
 * @returns the exit code
 */
export async function run(args: readonly string[]): Promise<number> {
  const program = createProgram();
  process.stdout.on('error', endWithReader);
  if (args.length === 0) {
    program.outputHelp({ error: true });
    return EXIT.wrongUsage;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const code = exitCodeOf(error);
    // Whoever stopped it has been told already what comes next.
    if (code === EXIT.interrupted) return code;
    if (code !== 0 && !(error instanceof CommanderError && error.code === 'commander.help')) {
      process.stderr.write(`${describeError(error, `dualvla ${verbOf(program, args)}`.trim())}\n`);
    }
    return code;
  }
}

/** `dualvla ... | head`: who reads no further wants no more, and no error. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(EXIT.done);
  throw error;
}

/** The verb that the words name, as far as they name one. */
function verbOf(program: Command, args: readonly string[]): string {
  const names: string[] = [];
  let at: Command | undefined = program;
  for (const word of args) {
    at = at?.commands.find((command) => command.name() === word);
    if (at === undefined) break;
    names.push(word);
  }
  return names.join(' ');
}

function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
