/** `dualvla recipes`: the named configurations, and what each holds. */
import type { Command } from 'commander';
import { formatTable } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla recipes                list them
  dualvla recipes demo           demonstrations, training and evaluation of one, as YAML
  dualvla recipes --schema       JSON Schema of a training configuration, for editors
`;

export function registerRecipes(program: Command): void {
  program
    .command('recipes')
    .description('list the named configurations, or show one')
    .argument('[name]', 'recipe to show')
    .option('--json', 'print JSON')
    .option('--schema', 'print the JSON Schema of training configurations')
    .addHelpText('before', EXAMPLES)
    .action(async (name: string | undefined, options: { json?: boolean; schema?: boolean }) => {
      const { findRecipe, recipeNames } = await import('../recipes/index.js');
      if (options.schema) {
        const { trainConfigJsonSchema } = await import('../train/config.js');
        print(JSON.stringify(trainConfigJsonSchema(), null, 2));
      } else if (name === undefined) {
        const recipes = recipeNames.map(findRecipe);
        if (options.json) print(JSON.stringify(recipes, null, 2));
        else print(formatTable(recipes.map(({ name, summary }) => [name, summary])));
      } else {
        const recipe = findRecipe(name);
        const { stringify } = await import('yaml');
        print(
          options.json
            ? JSON.stringify(recipe, null, 2)
            : stringify(recipe, { aliasDuplicateObjects: false }).trimEnd(),
        );
      }
    });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
