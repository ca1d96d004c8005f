import { describe, expect, it } from 'vitest';
import { Kinematics } from './kinematics.js';
import { distance, fromRpy, toRpy, type Vec3 } from './pose.js';
import { Random } from './random.js';
import { ROBOTS } from './robots.js';
import { rotationDistance, World } from './world.js';

describe.each(Object.values(ROBOTS))('kinematics of $name', (robot) => {
  it('agrees with the simulated arm', async () => {
    const world = await World.create(robot, []);
    const pose = { position: robot.home, rotation: fromRpy(0, -0.2, 0.3) };
    expect(world.reset(pose)).toBe(true);
    world.physics.forward();
    const tool = world.tool();
    expect(distance(tool.position, pose.position)).toBeLessThan(2e-4);
    expect(rotationDistance(tool.rotation, pose.rotation)).toBeLessThan(2e-3);
    world.dispose();
  });

  it('inverts what it computes', () => {
    const kinematics = new Kinematics(robot);
    const random = new Random(1, 'ik');
    for (let i = 0; i < 50; i++) {
      const q = robot.guess.map((angle) => angle + random.range(-0.35, 0.35));
      const target = kinematics.forward(q);
      const { positionError, rotationError } = kinematics.inverse(target, robot.guess, 100);
      expect(positionError).toBeLessThan(1e-3);
      expect(rotationError).toBeLessThan(1e-2);
    }
  });

  it('reports how far it misses what is out of reach', () => {
    const far: Vec3 = [2, 0, 0.1];
    const { positionError, q } = new Kinematics(robot).inverse(
      { position: far, rotation: fromRpy(0, 0, 0) },
      robot.guess,
    );
    expect(positionError).toBeGreaterThan(0.5);
    expect(q.every(Number.isFinite)).toBe(true);
  });
});

describe('angles', () => {
  it('roll-pitch-yaw round trips', () => {
    const random = new Random(2, 'rpy');
    for (let i = 0; i < 100; i++) {
      const rpy: Vec3 = [random.range(-3, 3), random.range(-1.5, 1.5), random.range(-3, 3)];
      const back = toRpy(fromRpy(...rpy));
      for (let k = 0; k < 3; k++) expect(back[k]).toBeCloseTo(rpy[k] as number, 9);
    }
  });

  it('measures half a turn', () => {
    expect(rotationDistance(fromRpy(0, 0, Math.PI), fromRpy(0, 0, 0))).toBeCloseTo(Math.PI, 6);
    expect(rotationDistance(fromRpy(Math.PI, 0, 0), fromRpy(0, 0, 0))).toBeCloseTo(Math.PI, 6);
  });
});
