/** Child process of the Hub's tests: downloads a data set, saying when bytes come. Argument: its name. */
import { downloadHubDataset } from './hub-dataset.js';

await downloadHubDataset(
  { name: process.argv[2] ?? '', revision: 'main', below: '' },
  { firstWaitMs: 5, onProgress: ({ bytes }) => process.stdout.write(`${bytes}\n`) },
);
