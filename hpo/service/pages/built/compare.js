import{a as m}from"./chunk-3OMUKQRK.js";m();
