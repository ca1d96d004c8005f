/**
 * Everything a picture shows, written down: one training sample a picture beside its questions, never a test. A question teaches one word
 * about a picture; a model of this size that learns from questions alone stays at the commonest answers for as long as we watched (96,000
 * samples), while naming everything gives it ten words to learn what it sees (LOG.md).
 */
import type { View } from './question.js';

/** Wordings of the request, by the picture's number. */
const REQUESTS = ['Write down everything.', 'List all that can be seen.', 'What is where?'] as const;

/** Thirds of the picture. */
const side = (u: number): string => (u < 0.38 ? 'left' : u > 0.62 ? 'right' : 'middle');
const depth = (v: number): string => (v < 0.45 ? 'far' : v > 0.6 ? 'near' : 'center');

export function descriptionOf(view: View, number: number): { question: string; answer: string } {
  return { question: REQUESTS[number % REQUESTS.length] as string, answer: describe(view) };
}

function describe(view: View): string {
  switch (view.kind) {
    case 'table': {
      const rows = view.rows.map((name, i) => `${name} ${view.cells[i]?.join(' ')}`);
      return [view.columns.join(' '), ...rows].join('; ');
    }
    case 'chart':
      return view.bars.map(({ color, height }) => `${color} ${height}`).join(', ');
    case 'tabletop': {
      const things = view.things.map(({ u, v, noun, color }) => ({
        u,
        words: [color, noun, side(u), depth(v)].filter((word) => word !== undefined).join(' '),
      }));
      const cards = view.cards.map(({ u, color, text }) => ({ u, words: `${color} card ${text} ${side(u)}` }));
      const fromLeft = [...things, ...cards].sort((a, b) => a.u - b.u);
      return fromLeft.map(({ words }) => words).join(', ') || 'nothing';
    }
  }
}
