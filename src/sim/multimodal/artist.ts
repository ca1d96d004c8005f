/** Makes the PNG of whatever a picture shows; worlds are compiled when they are first needed. */
import { encodePng } from '../../data/index.js';
import type { RobotName } from '../robots.js';
import { paintDrawing } from './drawings.js';
import type { View } from './question.js';
import { TabletopStudio } from './tabletop-studio.js';

export class Artist {
  readonly #size: number;
  readonly #studios = new Map<RobotName, Promise<TabletopStudio>>();

  /** @param size side of the pictures, pixels */
  constructor(size: number) {
    this.#size = size;
  }

  /** @returns RGB bytes, `size * size * 3`. The same view gives the same bytes. */
  async draw(view: View): Promise<Uint8Array> {
    if (view.kind !== 'tabletop') return paintDrawing(view, this.#size);
    let studio = this.#studios.get(view.robot);
    if (!studio) {
      studio = TabletopStudio.create(view.robot);
      this.#studios.set(view.robot, studio);
    }
    return (await studio).render(view, this.#size);
  }

  async png(view: View): Promise<Uint8Array> {
    return encodePng(await this.draw(view), this.#size, this.#size);
  }

  async dispose(): Promise<void> {
    for (const studio of this.#studios.values()) (await studio).dispose();
    this.#studios.clear();
  }
}
