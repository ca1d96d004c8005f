/** Child process of the crash tests: writes synthetic episodes until it is done or killed. Arguments: folder, episodes, image|video. */
import { LeRobotWriter } from './lerobot-writer.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';

const [folder = '', episodes = '0', imageStorage = 'image'] = process.argv.slice(2);
const features = syntheticFeatures({ imageStorage: imageStorage === 'video' ? 'video' : 'image', cameras: ['third'] });
const writer = await LeRobotWriter.create(folder, {
  fps: 5,
  robotType: 'test',
  features,
  resume: true,
  // Small enough to rotate several times.
  dataFilesSizeInMb: 0.05,
  video: { codec: 'libx264' },
});
process.stdout.write(`resumed at ${writer.numEpisodes}\n`);
while (writer.numEpisodes < Number(episodes))
  await writer.addEpisode(syntheticEpisode(writer.numEpisodes, { cameras: ['third'] }));
await writer.finish();
process.stdout.write('finished\n');
