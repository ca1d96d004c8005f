import { describe, expect, it } from 'vitest';
import { PruneError } from './errors.js';
import { Urdf } from './urdf.js';

/** Two arms of 1 m and 0.5 m that turn about z, then a lift along a tilted axis, then a fixed tool. */
const PLANAR = `<?xml version="1.0"?>
<robot name="planar">
  <!-- <joint name="commented" type="floating"/> -->
  <link name="base"/><link name="upper"/><link name="lower"/><link name="slide"/><link name="tool"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 0.2"/><axis xyz="0 0 2"/><limit lower="-1" upper="1"/>
  </joint>
  <joint name="elbow" type="continuous">
    <parent link="upper"/><child link="lower"/><origin xyz="1 0 0" rpy="0 0 0"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="lift" type="prismatic">
    <parent link="lower"/><child link="slide"/><origin xyz="0.5 0 0" rpy="1.5707963267948966 0 0"/><axis xyz="0 1 0"/>
  </joint>
  <joint name="mount" type="fixed"><parent link="slide"/><child link="tool"/><origin xyz="0 0 -0.1"/></joint>
</robot>`;

describe('URDF', () => {
  it('gives the pose of the tool, worked by hand', () => {
    const chain = Urdf.parse(PLANAR, 'planar.urdf').chain();
    expect(chain.link).toBe('tool');
    expect(chain.joints).toEqual(['shoulder', 'elbow', 'lift']);
    // Straight: the slide's y is the world's z, its z the world's -y.
    const straight = chain.pose([0, 0, 0.3]);
    [1.5, 0.1, 0.5].forEach((value, d) => {
      expect(straight.position[d]).toBeCloseTo(value, 12);
    });
    // Shoulder left by 90 degrees, elbow back by 90: up along y, then along x.
    const bent = chain.pose([Math.PI / 2, -Math.PI / 2, 0]);
    [0.5, 1.1, 0.2].forEach((value, d) => {
      expect(bent.position[d]).toBeCloseTo(value, 12);
    });
    // The tool's axes: turned about the world's x by 90 degrees, z to -y.
    [1, 0, 0, 0, 0, -1, 0, 1, 0].forEach((value, i) => {
      expect(bent.rotation[i]).toBeCloseTo(value, 12);
    });
    expect(Urdf.parse(PLANAR, '').chain('upper').pose([1]).position).toEqual([0, 0, 0.2]);
  });

  it('names the file and the joint that is wrong', () => {
    const refuse = (text: string, message: RegExp, link?: string): void => {
      expect(() => Urdf.parse(text, 'arm.urdf').chain(link)).toThrow(PruneError);
      expect(() => Urdf.parse(text, 'arm.urdf').chain(link)).toThrow(message);
    };
    refuse('<robot><joint', /not well-formed XML.*arm\.urdf/);
    refuse('<mujoco/>', /outermost element is <mujoco>.*xacro/);
    refuse('<robot/>', /has no joint/);
    refuse(`<!DOCTYPE robot [<!ENTITY a "b">]>${PLANAR}`, /document type or entities/);
    refuse(PLANAR, /no link "hand".*Its links: base, upper/, 'hand');
    refuse(PLANAR.replace('type="continuous"', 'type="floating"'), /type "floating".*joint elbow/);
    refuse(PLANAR.replace('xyz="0 0 2"', 'xyz="0 0"'), /xyz="0 0" is not three numbers.*joint shoulder/);
    refuse(PLANAR.replace('xyz="0 0 2"', 'xyz="0 0 0"'), /axis has no direction.*joint shoulder/);
    refuse(PLANAR.replace('name="elbow"', 'name="lift"'), /Two joints have this name.*joint lift/);
    refuse(PLANAR.replace('<child link="tool"/>', ''), /no <child link/);
    refuse(PLANAR.replace('<child link="tool"/>', '<child link="upper"/>'), /"upper" has two parents/);
    refuse(PLANAR.replace('<parent link="base"/>', '<parent link="tool"/>'), /form a loop/);
    const finger = (mimic: string): string =>
      `<joint name="finger" type="prismatic"><parent link="tool"/><child link="tip"/>${mimic}</joint></robot>`;
    refuse(PLANAR.replace('</robot>', finger('<mimic joint="lift"/>')), /mimics "lift".*--end-link/);
    const two = PLANAR.replace(
      '</robot>',
      '<joint name="cam" type="fixed"><parent link="upper"/><child link="eye"/></joint></robot>',
    );
    refuse(two, /ends in 2 links.*--end-link: tool, eye/);
    expect(Urdf.parse(two, '').chain('tool').joints).toHaveLength(3);
    expect(() => Urdf.open('/nowhere/arm.urdf')).toThrow(/cannot be read.*\/nowhere\/arm\.urdf/);
  });
});
