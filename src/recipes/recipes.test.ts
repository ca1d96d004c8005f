import { expect, test } from 'vitest';
import { resolveTrainConfig } from '../train/config-sources.js';
import { findRecipe, recipeNames, UnknownRecipeError } from './index.js';

test.each(recipeNames)('%s is plain data that fits the schema', (name) => {
  const recipe = findRecipe(name);
  expect(recipe.name).toBe(name);
  expect(JSON.parse(JSON.stringify(recipe))).toEqual(recipe);
  const config = resolveTrainConfig({ recipe: { name, config: recipe.train } });
  expect(config.recipe).toBe(name);
  expect(config.policy.vision.image_size).toBe(recipe.demonstrations.image_size);
  expect(recipe.demonstrations.tasks).toEqual(expect.arrayContaining(recipe.evaluation.tasks));
  expect(Object.values(recipe.demonstrations.variants).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1);
});

test('an unknown recipe names the nearest', () => {
  expect(() => findRecipe('demoo')).toThrow(UnknownRecipeError);
  expect(() => findRecipe('demoo')).toThrow(/did you mean demo\?.*debug, demo, demo-scratch, demo-discrete, full/);
  expect(() => findRecipe('constructor')).toThrow(UnknownRecipeError);
});
