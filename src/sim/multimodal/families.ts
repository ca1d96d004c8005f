/** All question types by family. */
import { ATTRIBUTE_TYPES } from './attribute.js';
import { CHART_TYPES } from './chart.js';
import { COUNTING_TYPES } from './counting.js';
import { MULTI_STEP_TYPES } from './multi-step.js';
import { OPEN_TYPES } from './open.js';
import type { QuestionType } from './question.js';
import { SPATIAL_RELATION_TYPES } from './spatial-relation.js';
import { TABLE_TYPES } from './table.js';
import { TEXT_ON_CARDS_TYPES } from './text-on-cards.js';
import type { Family } from './vocabulary.js';

export const QUESTION_TYPES: Readonly<Record<Family, readonly QuestionType[]>> = {
  attribute: ATTRIBUTE_TYPES,
  counting: COUNTING_TYPES,
  'spatial-relation': SPATIAL_RELATION_TYPES,
  'text-on-cards': TEXT_ON_CARDS_TYPES,
  table: TABLE_TYPES,
  chart: CHART_TYPES,
  'multi-step': MULTI_STEP_TYPES,
  open: OPEN_TYPES,
};
