import { describe, expect, it } from 'vitest';
import { fieldStatistics, reasoningFields } from './reasoning-fields.js';

describe('fields of a reasoning text', () => {
  it('are told by their tags, the longest first; what has no tag is text', () => {
    const text = 'Well.\nPLAN: reach,\nthen lift\nSUBTASK REASONING: it is far\nSUBTASK: reach\nMOVE:';
    expect([...reasoningFields(text)]).toEqual([
      ['text', 'Well.'],
      ['PLAN', 'reach,\nthen lift'],
      ['SUBTASK REASONING', 'it is far'],
      ['SUBTASK', 'reach'],
    ]);
    expect([...reasoningFields('')]).toEqual([]);
  });

  it('are counted before and after, each against the frame with reasoning before it', () => {
    const fields = fieldStatistics();
    const texts = ['PLAN: p\nMOVE: up', 'PLAN: p\nMOVE: up', '', 'PLAN: p\nMOVE: left', 'PLAN: p'];
    fields.add(texts, [1, 0, 1, 1, 0]);
    fields.add(['MOVE: up'], [1]);
    const [plan, move] = fields.statistics();
    expect(plan).toMatchObject({ field: 'PLAN', frames: 4, kept: 2, distinctBefore: 1, distinctAfter: 1 });
    expect(move).toMatchObject({ field: 'MOVE', frames: 4, kept: 3, distinctBefore: 2, distinctAfter: 2 });
    // up up left, and never across episodes; of up left none repeats.
    expect([move?.before.repeated, move?.after.repeated]).toEqual([0.5, 0]);
    expect([plan?.before.repeated, plan?.after.repeated]).toEqual([1, 1]);
  });
});
