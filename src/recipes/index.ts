/**
 * The named recipes. `findRecipe` is what `--recipe NAME` means; the first, `debug`, runs in seconds.
 */
import { nearestName } from '../train/nearest-name.js';
import { debug } from './debug.js';
import { demo } from './demo.js';
import { demoDiscrete } from './demo-discrete.js';
import { demoScratch } from './demo-scratch.js';
import { full } from './full.js';
import { paper, REGIMES } from './paper.js';
import { paperDebug } from './paper-debug.js';
import type { Recipe } from './recipe.js';

export { SHIPPED_SPECIALIST } from './demo.js';
export { paper, REGIMES, type Regime } from './paper.js';
export type { DemonstrationsRecipe, EvaluationRecipe, Recipe } from './recipe.js';
export { isStudy, type PruningRecipe, type Study, type StudyModel } from './study.js';
export { debug, demo, demoDiscrete, demoScratch, full };

const recipes: Readonly<Record<string, () => Recipe>> = {
  debug,
  demo,
  'demo-scratch': demoScratch,
  'demo-discrete': demoDiscrete,
  full,
  'paper-debug': paperDebug,
  ...Object.fromEntries(REGIMES.map((regime) => [`paper-${regime}`, () => paper(regime)])),
};

/** Names of all recipes. */
export const recipeNames: readonly string[] = Object.keys(recipes);

/** There is no recipe of that name. Wrong usage: the command line exits with 2. */
export class UnknownRecipeError extends Error {
  override readonly name = 'UnknownRecipeError';
  constructor(readonly recipe: string) {
    const nearest = nearestName(recipe, recipeNames);
    const hint = nearest === null ? '' : ` (did you mean ${nearest}?)`;
    super(`There is no recipe ${recipe}${hint}; there are ${recipeNames.join(', ')}.`);
  }
}

/** The recipe of that name. @throws UnknownRecipeError */
export function findRecipe(name: string): Recipe {
  if (!Object.hasOwn(recipes, name)) throw new UnknownRecipeError(name);
  return (recipes[name] as () => Recipe)();
}
