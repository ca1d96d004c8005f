/** Child process of the crash test: converts an RLDS data set, saying how far it is. Arguments: data set, target. */
import { convertDataset } from './convert.js';
import { RldsDataset } from './rlds-dataset.js';
import { rldsSource } from './rlds-source.js';

const [folder = '', target = ''] = process.argv.slice(2);
await convertDataset({
  sources: [rldsSource(RldsDataset.open(folder), { cameras: ['image_1'] })],
  target,
  resume: true,
  onProgress: ({ done, total }) => process.stdout.write(`${done}/${total}\n`),
});
