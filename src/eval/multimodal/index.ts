/** The procedural question families: asking and scoring. */
export type { Answerer } from './answerer.js';
export {
  type AnsweredQuestion,
  answerMultimodal,
  chanceByFamily,
  countBy,
  countByFamily,
  evaluateMultimodal,
  type FamilyCount,
  type MultimodalEvaluationOptions,
  questionFamilies,
} from './evaluate-multimodal.js';
export { chosenLetter, type ExpectedAnswer, normaliseWords, type ScoredAnswer, scoreAnswer } from './score-answer.js';
