/** Child process of the crash test: generates demonstrations until it is done or killed. Arguments: folder, episodes a task. */
import { generateDemonstrations } from './demonstrations.js';

const [out = '', episodes = '1'] = process.argv.slice(2);
const events = generateDemonstrations({
  out,
  tasks: ['google/close-drawer'],
  episodesPerTask: Number(episodes),
  imageSize: 16,
  cameras: ['third'],
  shadows: false,
  workers: 1,
  resume: true,
});
for await (const event of events) process.stdout.write(`${JSON.stringify(event)}\n`);
